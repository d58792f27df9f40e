/** GKE's load balancer changes to WebSocket and ignores other offers, which HTTP lets any server do. */
export function isWebSocketOffer(upgrade: string): boolean {
  return upgrade
    .toLowerCase()
    .split(",")
    .some((protocol) => protocol.trim() === "websocket");
}
