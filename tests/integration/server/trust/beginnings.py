"""First messages of streams that then wait for their client."""

from __future__ import annotations

from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection_pb2

from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb

_RECOGNITION, _GALLERY = "/facet.v1.RecognitionService/", "/facet.v1.GalleryService/"


def beginnings(gallery_id: str) -> dict[str, Message]:
    """A message for each method whose clients stream, by the method's full name.

    Args:
        gallery_id: a gallery that exists.
    """
    settings = gallery_pb.CalibrationSettings(gallery_id=gallery_id, target_fpir=0.01)
    target = gallery_pb.ImportTarget(gallery_id=f"{gallery_id}-imported")
    return {
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": reflection_pb2.ServerReflectionRequest(
            list_services=""
        ),
        _RECOGNITION + "IdentifyBatch": pb.IdentifyBatchRequest(
            identification=pb.IdentifyRequest(gallery_id=gallery_id)
        ),
        _RECOGNITION + "IdentifyStream": pb.IdentifyStreamRequest(settings=pb.StreamSettings(gallery_id=gallery_id)),
        _GALLERY + "CalibrateGallery": gallery_pb.CalibrateGalleryRequest(settings=settings),
        _GALLERY + "EnrollBatch": gallery_pb.EnrollBatchRequest(
            enrollment=gallery_pb.EnrollFaceRequest(gallery_id=gallery_id)
        ),
        _GALLERY + "ImportGallery": gallery_pb.ImportGalleryRequest(target=target),
    }
