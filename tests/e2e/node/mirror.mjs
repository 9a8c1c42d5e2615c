// mirror.v1.Mirror (../mirror/README.md) by grpc-js: `node mirror.mjs unix:/path`.
import grpc from '@grpc/grpc-js';

let cancelled = 0;

// Calls `end` with the messages at half-close.
function collect(call, end) {
  const messages = [];
  call.on('data', (message) => messages.push(message));
  call.on('end', () => {
    end(messages);
    call.end();
  });
  call.on('error', () => {});
}

function told(call) {
  const lines = [];
  for (const key of Object.keys(call.metadata.getMap())) {
    for (const value of call.metadata.get(key)) {
      lines.push(`${key}=${Buffer.isBuffer(value) ? value.toString('hex') : value}`);
    }
  }
  if (call.getDeadline() !== Infinity) lines.push('timeout=yes');
  return lines.sort().join('\n');
}

async function flood(call, first) {
  const [count, size] = first.toString().split(' ').map(Number);
  for (let i = 0; i < count && !call.cancelled; ++i) {
    if (!call.write(Buffer.alloc(size, 'x'))) {
      await new Promise((resume) => {
        call.once('drain', resume);
        call.once('cancelled', resume);
      });
    }
  }
  call.end();
}

const methods = {
  Echo(call) {
    const metadata = new grpc.Metadata();
    metadata.set('x-initial', 'yes');
    call.sendMetadata(metadata);
    call.on('data', (message) => call.write(message));
    call.on('end', () => call.end());
    call.on('error', () => {});
  },
  Told: (call) => collect(call, () => call.write(Buffer.from(told(call)))),
  Fail(call) {
    call.once('data', () => call.emit('error', {
      code: grpc.status.ABORTED,
      details: 'no: ünï 100%\n',
    }));
  },
  Flood(call) {
    call.once('data', (first) => flood(call, first));
    call.on('error', () => {});
  },
  Long(call) {
    call.once('data', (first) => {
      const [where, size] = first.toString().split(' ');
      const fill = '%'.repeat(Number(size));
      const trailers = new grpc.Metadata();
      if (where === 'initial') {
        const metadata = new grpc.Metadata();
        metadata.set('x-long', fill);
        call.sendMetadata(metadata);
      } else if (where === 'many') {
        for (let i = 0; i < Number(size); ++i) trailers.set(`x-${i}`, 'y');
      } else if (where === 'binary') {
        trailers.set('x-long-bin', Buffer.from(fill));
      } else if (where === 'trailers') {
        trailers.set('x-long', fill);
      }
      call.emit('error', {
        code: grpc.status.INVALID_ARGUMENT,
        details: where === 'status' ? fill : 'short',
        metadata: trailers,
      });
    });
  },
  Count: (call) => collect(call, (messages) => {
    const bytes = messages.reduce((sum, message) => sum + message.length, 0);
    call.write(Buffer.from(`${messages.length} ${bytes}`));
  }),
  Wait(call) {
    call.on('cancelled', () => ++cancelled);
    call.on('data', () => {});
    call.on('error', () => {});
    call.write(Buffer.from('here'));
  },
  Cancelled: (call) => collect(call, () => call.write(Buffer.from(`${cancelled}`))),
};

const plain = (bytes) => bytes;
const server = new grpc.Server({'grpc.max_receive_message_length': -1});
server.addService(
    Object.fromEntries(Object.keys(methods).map((name) => [name, {
      path: `/mirror.v1.Mirror/${name}`,
      requestStream: true,
      responseStream: true,
      requestSerialize: plain,
      requestDeserialize: plain,
      responseSerialize: plain,
      responseDeserialize: plain,
    }])),
    methods);
server.bindAsync(process.argv[2], grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  console.log(`listening on ${process.argv[2]}`);
});
process.on('SIGTERM', () => {
  server.forceShutdown();
  process.exit(0);
});
