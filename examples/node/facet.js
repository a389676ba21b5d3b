// Facet's services for grpc-js, loaded from proto/ at run time: no code is generated.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const PROTO = fileURLToPath(new URL("../../proto", import.meta.url));
const FILES = [
  "facet/v1/gallery_service.proto",
  "facet/v1/recognition_service.proto",
  "facet/v1/server_service.proto",
  "google/rpc/error_details.proto",
  "google/rpc/status.proto",
];

const definitions = protoLoader.loadSync(FILES, {
  includeDirs: [PROTO],
  keepCase: true, // display_name, not displayName
  enums: String, // "DECISION_MATCH", not 1
  longs: Number,
  defaults: true, // unset fields have their default value...
  oneofs: true,
  json: true, // ...and google.protobuf.Any is unpacked
});

export const facet = grpc.loadPackageDefinition(definitions).facet.v1;

const { FACET_CA, FACET_CERTIFICATE, FACET_KEY, FACET_TOKEN } = process.env;

// How to connect: with TLS if FACET_CA names the PEM file of the server's CA, and with the client's certificate if
// FACET_CERTIFICATE and FACET_KEY name its files.
export function credentials() {
  const [ca, key, certificate] = [FACET_CA, FACET_KEY, FACET_CERTIFICATE].map((file) => file ? readFileSync(file) : null);
  return ca || certificate ? grpc.credentials.createSsl(ca, key, certificate) : grpc.credentials.createInsecure();
}

// What every call carries: the caller's key, from FACET_TOKEN. Without TLS, everybody on the network could read it.
export function metadata() {
  const carried = new grpc.Metadata();
  if (FACET_TOKEN) carried.set("authorization", `Bearer ${FACET_TOKEN}`);
  return carried;
}

// Call a unary method. A call without a deadline waits as long as the server does.
export function call(client, method, request, seconds = 10) {
  const options = { deadline: Date.now() + seconds * 1000 };
  return new Promise((resolve, reject) => {
    client[method](request, metadata(), options, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

// The google.rpc details of a failed call: ErrorInfo with a stable reason, BadRequest, ResourceInfo, RetryInfo.
export function errorDetails(error) {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  return bytes ? definitions["google.rpc.Status"].deserialize(bytes).details : [];
}
