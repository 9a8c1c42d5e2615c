// What the gateway says about itself: upstreams, routes, services, types.

async function get(path) {
  const response = await fetch(path, {cache: "no-store"});
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.message ?? `HTTP ${response.status}`);
  return body;
}

export const loadIndex = () => get("/_headgate/api/index");
export const loadSchema = (upstream) => get(`/_headgate/api/schema?upstream=${encodeURIComponent(upstream)}`);

export const KINDS = {
  unary: {label: "unary", mark: "1→1", streamsIn: false, streamsOut: false},
  serverStream: {label: "server stream", mark: "1→n", streamsIn: false, streamsOut: true},
  clientStream: {label: "client stream", mark: "n→1", streamsIn: true, streamsOut: false},
  bidi: {label: "bidirectional", mark: "n↔n", streamsIn: true, streamsOut: true},
};

function hostFits(route) {
  const host = location.hostname;
  return route.hosts.length === 0 || route.hosts.some((one) => (one.startsWith("*.") ? host.endsWith(one.slice(1)) : host === one));
}

/** The addresses at which routes serve a method, with the route of each. */
export function addressesOf(method, routes) {
  const found = [];
  const add = (address, route) => found.some((one) => one.address === address) || found.push({address, route});
  for (const route of routes) {
    if (route.upstream !== method.upstream || !hostFits(route) || route.httpRules || route.hub || route.packet?.methods) continue;
    const at = route.path ?? route.template ?? route.prefix;
    if (route.method) {
      if (route.method === method.path) add(at ?? method.path, route);
    } else if (route.service) {
      if (route.service === `/${method.service}`) add(`${route.prefix ?? `/${method.service}`}/${method.name}`, route);
    } else if (!route.prefix) {
      if (!at) add(method.path, route);
    } else if (route.stripPrefix) {
      add(route.prefix.replace(/\/$/, "") + method.path, route);
    } else if (route.prefix === "/" || `${method.path}/`.startsWith(`${route.prefix}/`)) {
      add(method.path, route);
    }
  }
  return found;
}

/** Routes with several calls on one socket, as methods of their own. */
export function tableRoutes(routes) {
  return routes
    .filter((route) => route.packet?.methods && hostFits(route))
    .map((route) => ({
      upstream: route.upstream, name: route.path ?? route.prefix ?? route.template, path: route.path ?? route.prefix ?? route.template,
      kind: "bidi", route, comment: "Several calls on one socket: the type of a packet chooses the method, who is the call.",
    }));
}

/** Routes whose sessions share a stream to the backend, as methods of their own. */
export function hubRoutes(routes) {
  return routes
    .filter((route) => route.hub && hostFits(route))
    .map((route) => {
      const at = route.path ?? route.template ?? route.prefix ?? "/";
      const message = route.hub.message;
      return {
        upstream: route.upstream, name: at, path: at, kind: "bidi", route, ...(message && {input: message, output: message}),
        comment: "A hub: what is sent goes to the backend of all its sessions, which sends to one of them, to a group or to all.",
      };
    });
}

/** Whether an address is one of a route's; a template's variables may be anything. */
export function addressFits({address, route}, wanted) {
  if (address === wanted) return true;
  if (address !== route.template || /[{}]/.test(wanted)) return false;
  const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const pattern = address.split(/(\{[^}]*\}|\*\*?)/).map((part, i) => (i % 2 === 0 ? literal(part) : part.includes("**") ? ".+" : "[^/]+"));
  return new RegExp(`^${pattern.join("")}$`).test(wanted.replace(/\?.*/s, ""));
}

/** The codecs that a route serves for a method, the one to begin with first. */
export function codecsOf(method, route) {
  if (route?.packet?.methods) return ["packet"];
  const codecs = route?.codecs ?? ["json"];
  const usual =
    route?.codec ??
    (method.input === "headgate.v1.Packet" ? "packet" : method.input === "headgate.v1.Message" ? "raw" : "json");
  return [...codecs].sort((a, b) => Number(b === usual) - Number(a === usual));
}
