// Loaded into every Node program of a pod, by NODE_OPTIONS. In a cluster a pod is alone on its network and listens
// on all addresses; here the pods of a machine share one, so such a listen is turned into one on the pod's own
// address. Pods run on any version of Node, hence CommonJS and no syntax that an old one does not know.
"use strict";

const net = require("node:net");

const given = (process.env.POD_LISTEN || "").split(" ");
const address = given.shift();
const ports = new Map(given.map((pair) => pair.split(":").map(Number)));

if (address) {
  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (...args) {
    return listen.apply(this, onPodAddress(args));
  };
}

/** The arguments of `listen` in any of its forms: an options object, a port with or without a host, or neither. */
function onPodAddress(args) {
  const [first, second] = args;
  if (first === null || first === undefined || typeof first === "function") {
    return [{ port: 0, host: address }, ...args];
  }
  if (typeof first === "object") {
    if (!isTcp(first) || !isUnspecified(first.host)) return args;
    return [Object.assign({}, first, { port: ownPort(first.port), host: address }), ...args.slice(1)];
  }
  // A text that is not a number is the path of a socket file.
  if (Number.isNaN(Number(first))) return args;
  if (typeof second === "string" && !isUnspecified(second)) return args;
  const hasHost = args.length > 1 && (typeof second === "string" || second === null || second === undefined);
  return [ownPort(first), address, ...args.slice(hasHost ? 2 : 1)];
}

function isTcp(options) {
  return options.port !== undefined && options.path === undefined && options.fd === undefined;
}

function isUnspecified(host) {
  return !host || host === "0.0.0.0" || host === "::" || host === "::0";
}

function ownPort(port) {
  return ports.get(Number(port)) || port;
}
