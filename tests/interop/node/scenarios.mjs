// What each client is asked to do.
import {createRegistry, fromBinary, fromJson, toBinary, toJson}
  from '@bufbuild/protobuf';
import {StringValueSchema} from '@bufbuild/protobuf/wkt';

const demo = 'headgate.demo.v1';
// Of what an Any may hold, in JSON.
export const options = {registry: createRegistry(StringValueSchema)};
const longText = 'x'.repeat(20000);

// {scenario: () => ...} for a client. `registry`: the demo services. `onHeld`
// is called when the scenario `held` waits for the gateway.
export function scenariosOf(client, registry, onHeld) {
  // The method, with what any client needs of it.
  function method(service, rpc) {
    const found = registry.getService(`${demo}.${service}`)
      ?.methods.find((each) => each.name === rpc);
    const desc = found ?? registry.getService(`${demo}.HelloService`).methods[0];
    return {
      service: `${demo}.${service}`,
      name: rpc,
      desc,
      known: found !== undefined,
      path: `/${demo}.${service}/${rpc}`,
      encode: (json) => toBinary(desc.input, fromJson(desc.input, json, options)),
      decode: (bytes) => toJson(desc.output, fromBinary(desc.output, bytes)),
      request: (json) => fromJson(desc.input, json, options),
      json: (message) => toJson(desc.output, message),
    };
  }

  const sayHello = method('HelloService', 'SayHello');

  // Each resolves to {messages, headers, trailers, code, text, details}; code 0 is
  // OK.
  return {
    unary: () => client.call(sayHello, [{greeting: 'ann'}]),
    metadata: () => client.call(method('EchoService', 'Metadata'), [{}], {
      headers: {'x-tenant': 'a, b', 'x-key-bin': 'AQID',
        authorization: 'Bearer t0ken'}}),
    both_metadata: () => client.call(
      method('LibraryService', 'GetBook'),
      [{name: 'shelves/classics/books/dune'}], {headers: {'x-reader': 'ann'}}),
    failure: () => client.call(method('EchoService', 'Fail'), [{
      code: 5, message: 'nothing “here” 100%',
      details: [{'@type': 'type.googleapis.com/google.protobuf.StringValue',
        value: 'why'}]}]),
    unknown: () => client.call(method('HelloService', 'Nothing'), [{}]),
    replies: () => client.call(method('HelloService', 'LotsOfReplies'),
      [{greeting: 'ann'}]),
    greetings: () => client.call(method('HelloService', 'LotsOfGreetings'),
      [{greeting: 'ann'}, {greeting: 'bob'}]),
    bidi: () => client.call(method('HelloService', 'BidiHello'),
      [{greeting: 'ann'}, {greeting: 'bob'}]),
    long: () => client.call(sayHello, [{greeting: longText}]),
    too_long: () => client.call(sayHello, [{greeting: 'y'.repeat(3000000)}]),
    deadline: () => client.call(method('EchoService', 'Flood'),
      [{count: '0', size: 10}], {timeout: 300, keep: 1}),
    cancel: () => client.call(method('EchoService', 'Flood'),
      [{count: '0', size: 10}], {cancelAfter: 3, keep: 3}),
    // Until the gateway ends it.
    held: () => client.call(method('EchoService', 'Flood'),
      [{count: '0', size: 100000}], {keep: 1, onFirst: () => {
        onHeld();
      }}),
  };
}

// One of them as JSON can tell it.
export async function play(scenario, name) {
  try {
    const result = await Promise.race([scenario(), new Promise(
      (resolve, reject) => setTimeout(reject, 20000, Error('it hangs')))]);
    const {messages, count, headers, trailers, code, text} = result;
    // Of a google.rpc.Status: what the StringValue among its details says.
    const details = (result.details ?? []).map(
      ({type, value}) => type === 'google.protobuf.StringValue' ?
        fromBinary(StringValueSchema, value).value : type);
    return {scenario: name, messages, count, headers, trailers, code, text,
      details};
  } catch (error) {
    return {scenario: name, thrown: String(error?.stack ?? error)};
  }
}
