// Enrol a person, identify the people in a picture, read the details of an error, and stream frames.
//
//   node recognize.js PORTRAIT GROUP [HOST:PORT]
//
// PORTRAIT shows one person, GROUP several. FACET_TOKEN, FACET_CA, FACET_CERTIFICATE and FACET_KEY are the caller's key
// and certificates, if the server asks for them.
//
// Exit code: 0 done, 1 a picture cannot be read or the server answers with an error, 2 bad usage.

import { readFile } from "node:fs/promises";

import grpc from "@grpc/grpc-js";

import { call, credentials, errorDetails, facet, metadata } from "./facet.js";

const [portraitFile, groupFile, address = "127.0.0.1:50051", ...surplus] = process.argv.slice(2);
if (!groupFile || surplus.length) {
  console.error("usage: node recognize.js PORTRAIT GROUP [HOST:PORT]");
  process.exit(2);
}
const galleries = new facet.GalleryService(address, credentials());
const recognition = new facet.RecognitionService(address, credentials());
const gallery_id = `example-${Date.now()}`;

try {
  await main();
} catch (error) {
  console.error(`failed: ${error.message}`);
  process.exit(1);
}

// Run all steps in a gallery that is deleted at the end.
async function main() {
  const portrait = { encoded: await readFile(portraitFile) };
  const group = { encoded: await readFile(groupFile) };
  await call(galleries, "CreateGallery", { gallery_id });
  try {
    await enrollAndIdentify(portrait, group);
    await showError(group);
    await stream(Array(3).fill(portrait));
  } finally {
    await call(galleries, "DeleteGallery", { gallery_id, force: true });
  }
}

// Enrol a person and find him in the group.
async function enrollAndIdentify(portrait, group) {
  const { template } = await call(galleries, "EnrollFace", {
    gallery_id,
    subject_id: "yao-ming",
    display_name: "Yao Ming",
    picture: portrait,
  });
  console.log(`enrolled Yao Ming, template ${template.template_id}`);

  const { faces } = await call(recognition, "Identify", { gallery_id, picture: group });
  for (const { identification } of faces) {
    if (identification.decision === "DECISION_MATCH") {
      const [best] = identification.candidates; // the most similar subject first
      console.log(`identified ${best.display_name}, similarity ${best.similarity.toFixed(2)}`);
    }
  }
  console.log(`${faces.length} faces in all`);
}

// An error has a status code, and a stable reason in its google.rpc details.
async function showError(group) {
  try {
    await call(galleries, "EnrollFace", { gallery_id, subject_id: "somebody", picture: group });
  } catch (error) {
    const info = errorDetails(error).find((detail) => detail["@type"].endsWith("google.rpc.ErrorInfo"));
    if (!info) throw error;
    console.log(`refused: ${grpc.status[error.code]} ${info.reason}`);
  }
}

// Send frames and print the events. A camera leaves `lossless` out, so that the newest frame wins.
async function stream(pictures) {
  const frames = recognition.IdentifyStream(metadata());
  frames.write({ settings: { gallery_id, camera: "example", lossless: true } });
  pictures.forEach((picture, index) => {
    const capture_time = { seconds: 0, nanos: index * 100_000_000 }; // 10 frames a second; only differences count
    frames.write({ frame: { frame_id: index + 1, capture_time, picture } });
  });
  frames.end();
  for await (const { frame_id, tracks, events } of frames) {
    for (const event of events) {
      console.log(`frame ${frame_id}: track ${event.track_id} ${event.kind} ${event.display_name}`);
    }
    console.log(`frame ${frame_id}: ${tracks.length} tracks`);
  }
}
