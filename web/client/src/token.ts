/** A bearer token, or what gets one; asked again for each new connection. */
export type Token = string | null | undefined | (() => TokenValue | Promise<TokenValue>);
type TokenValue = string | null | undefined;

// RFC 7230 section 3.2.6: the characters that a subprotocol may have.
const SUBPROTOCOL = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// Subprotocols that mean something to the gateway by themselves.
const RESERVED = /^(bearer$|headgate\.|grpc-websockets|base64url\.)/i;

/**
 * The subprotocols that carry a token: "Bearer" and the token, or Kubernetes'
 * base64url form for a token that cannot be a subprotocol.
 */
export function tokenProtocols(token: TokenValue): string[] {
  if (!token) return [];
  if (!/^[ -~]+$/.test(token)) throw new TypeError("a token must be printable ASCII");
  if (SUBPROTOCOL.test(token) && !RESERVED.test(token)) return ["Bearer", token];
  const base64 = btoa(token).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
  return ["base64url.bearer.authorization.k8s.io." + base64];
}
