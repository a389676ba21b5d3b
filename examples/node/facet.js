// Facet's services for grpc-js, loaded from proto/ at run time: no code is generated.

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

// Call a unary method. A call without a deadline waits as long as the server does.
export function call(client, method, request, seconds = 10) {
  const options = { deadline: Date.now() + seconds * 1000 };
  return new Promise((resolve, reject) => {
    client[method](request, options, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

// The google.rpc details of a failed call: ErrorInfo with a stable reason, BadRequest, ResourceInfo, RetryInfo.
export function errorDetails(error) {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  return bytes ? definitions["google.rpc.Status"].deserialize(bytes).details : [];
}
