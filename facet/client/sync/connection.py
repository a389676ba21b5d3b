"""The blocking client."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, Self

import grpc
from grpc_health.v1.health_pb2_grpc import HealthStub

from facet.client import channel, requests
from facet.client.batches import Answer, IdentifyRequests, K
from facet.client.calibrations import CalibrationRequests, Probe
from facet.client.errors import FacetError, from_rpc_error
from facet.client.requests import PictureSource
from facet.client.streams import StreamRequests
from facet.client.transfers import FileSource, ImportRequests, Received
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as recognition_pb
from facet.v1.gallery_service_pb2_grpc import GalleryServiceStub
from facet.v1.recognition_service_pb2_grpc import RecognitionServiceStub
from facet.v1.server_service_pb2 import GetServerInfoRequest
from facet.v1.server_service_pb2_grpc import ServerServiceStub


class Client:
    """A connection to a Facet server, for programs that wait for each answer. Safe to share between threads.

    Args:
        address: ``host:port``; else the environment's FACET_ADDRESS, else 127.0.0.1:50051.
        token: the server's bearer token, where it wants one; else the environment's FACET_TOKEN.
        root_certificates: PEM bytes; given, the connection is encrypted and the server's certificate checked.
        timeout: seconds that a unary call may take where the call itself does not say.

    Attributes:
        recognition: the stub of RecognitionService.
        galleries: the stub of GalleryService.
        server: the stub of ServerService.
        health: the stub of grpc.health.v1.Health, which needs no token.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | None = None,
        root_certificates: bytes | None = None,
        timeout: float = channel.DEFAULT_TIMEOUT,
    ) -> None:
        target, secret = channel.resolve(address, token)
        options = channel.options(timeout)
        if root_certificates is None:
            self._channel = grpc.insecure_channel(target, options)
        else:
            credentials = grpc.ssl_channel_credentials(root_certificates)
            self._channel = grpc.secure_channel(target, credentials, options)
        watched = grpc.intercept_channel(self._channel, _Interceptor(secret))
        self.recognition = RecognitionServiceStub(watched)
        self.galleries = GalleryServiceStub(watched)
        self.server = ServerServiceStub(watched)
        self.health = HealthStub(watched)

    def create_gallery(self, gallery_id: str, **fields: Any) -> gallery_pb.Gallery:
        """Create a gallery; ``fields`` are further ones of CreateGalleryRequest."""
        request = gallery_pb.CreateGalleryRequest(gallery_id=gallery_id, **fields)
        return self.galleries.CreateGallery(request).gallery

    def enroll(
        self, gallery_id: str, subject_id: str, picture: PictureSource, **fields: Any
    ) -> gallery_pb.EnrollFaceResponse:
        """Enrol the face in a picture; ``fields`` are further ones of EnrollFaceRequest."""
        return self.galleries.EnrollFace(requests.enroll_request(gallery_id, subject_id, picture, **fields))

    def identify(self, gallery_id: str, picture: PictureSource, **fields: Any) -> recognition_pb.IdentifyResponse:
        """Say who is in a picture; ``fields`` are further ones of IdentifyRequest."""
        return self.recognition.Identify(requests.identify_request(gallery_id, picture, **fields))

    def identify_batch(
        self, gallery_id: str, items: Iterable[tuple[K, PictureSource]], **fields: Any
    ) -> Generator[tuple[K, Answer], None, None]:
        """Say who is in many pictures, each as it is answered, in any order.

        Args:
            gallery_id: the gallery.
            items: what to call each picture, which its answer comes with, and the picture. Both sides work on a few at
                a time: pictures are read as the server has room, and only while the answers are read.
            fields: further ones of IdentifyRequest, for every picture.

        Returns:
            For every picture its answer, or the error it failed with, which may be a file's: CANNOT_READ or
            FILE_TOO_LARGE. An error that is raised ends the batch; what has no answer then was not answered.
        """
        most = self.server.GetServerInfo(GetServerInfoRequest()).limits.max_message_bytes
        messages = IdentifyRequests(gallery_id, items, most, **fields)
        call = self.recognition.IdentifyBatch(messages)
        try:
            for response in call:
                yield messages.take(response)
        except FacetError:
            if messages.error is not None:
                raise messages.error from None
            raise
        finally:
            call.cancel()
        messages.finish()

    def identify_stream(
        self, settings: recognition_pb.StreamSettings, frames: Iterable[recognition_pb.StreamFrame]
    ) -> Generator[recognition_pb.IdentifyStreamResponse, None, None]:
        """Say who is in front of a camera, frame after frame; see the proto's IdentifyStream.

        Args:
            settings: the gallery, and how people are followed.
            frames: the frames, see :func:`facet.stream_frame`; iterated on a thread of its own, as there is room to
                send them. A camera's should be made when they are asked for, so that none is old before it is sent.

        Returns:
            The answers. A frame that fails is answered with its status; an error that is raised ends the stream.
        """
        messages = StreamRequests(settings, frames)
        call = self.recognition.IdentifyStream(messages)
        try:
            yield from call
        except FacetError:
            if messages.error is not None:
                raise messages.error from None
            raise
        finally:
            call.cancel()

    def verify(
        self, reference: PictureSource | tuple[str, str], probe: PictureSource, **fields: Any
    ) -> recognition_pb.VerifyResponse:
        """Compare a probe with a picture, or with an enrolled ``(gallery_id, subject_id)``."""
        return self.recognition.Verify(requests.verify_request(reference, probe, **fields))

    def subjects(self, gallery_id: str) -> Iterator[gallery_pb.Subject]:
        """All subjects of a gallery by id, a page at a time."""
        request = gallery_pb.ListSubjectsRequest(gallery_id=gallery_id)
        while True:
            page = self.galleries.ListSubjects(request)
            yield from page.subjects
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def export_gallery(self, gallery_id: str, *, progress: Callable[[int], None] | None = None) -> Iterator[bytes]:
        """The file of a whole gallery, piece by piece; it is whole once the last has come, and nothing was raised.

        Args:
            gallery_id: the gallery.
            progress: called with the number of templates that have come.
        """
        received = Received()
        call = self.galleries.ExportGallery(gallery_pb.ExportGalleryRequest(gallery_id=gallery_id))
        try:
            for response in call:
                if chunk := received.take(response):
                    yield chunk
                if progress is not None:
                    progress(received.templates)
        finally:
            call.cancel()
        received.finish()

    def import_gallery(self, source: FileSource, gallery_id: str = "", **fields: Any) -> gallery_pb.Gallery:
        """Make a gallery of an exported file.

        Args:
            source: the file.
            gallery_id: the new gallery's id; empty for the one that the file says.
            fields: further ones of ImportTarget.

        Raises:
            OSError: the file cannot be read.
        """
        with closing(ImportRequests(source, gallery_id, **fields)) as messages:
            try:
                return self.galleries.ImportGallery(messages).gallery
            except FacetError:
                if messages.error is not None:
                    raise messages.error from None
                raise

    def calibrate(
        self,
        gallery_id: str,
        target_fpir: float,
        probes: Iterable[Probe] | None = None,
        *,
        progress: Callable[[int], None] | None = None,
        **fields: Any,
    ) -> gallery_pb.CalibrateGalleryResponse:
        """Set a gallery's threshold to what a share of unknown people reaches, and keep the evidence with it.

        Args:
            gallery_id: the gallery.
            target_fpir: the share, (0, 1).
            probes: whose pictures are searched for: a subject's id and a picture each, or CalibrationProbe messages,
                which may say which face is meant. ``None`` calibrates the gallery against itself.
            progress: called with the number of probes that were sent; the server takes them as it has room.
            fields: further ones of CalibrationSettings.

        Raises:
            OSError: a picture cannot be read; nothing is changed.
            ValueError: there are no probes.
        """
        messages = CalibrationRequests(gallery_id, target_fpir, probes, progress, **fields)
        try:
            return self.galleries.CalibrateGallery(messages)
        except FacetError:
            if messages.error is not None:
                raise messages.error from None
            raise

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Interceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds the token, and raises our errors in the place of gRPC's."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return _Call(continuation(channel.with_token(client_call_details, self._token), request))

    def intercept_unary_stream(
        self, continuation: Callable[[Any, Any], Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return _Call(continuation(channel.with_token(client_call_details, self._token), request))

    def intercept_stream_unary(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request_iterator: Iterator[Any],
    ) -> Any:
        return _Call(continuation(channel.with_token(client_call_details, self._token), request_iterator))

    def intercept_stream_stream(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request_iterator: Iterator[Any],
    ) -> Any:
        return _Call(continuation(channel.with_token(client_call_details, self._token), request_iterator))


class _Call:
    """A call under way whose failures are ours."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def result(self, timeout: float | None = None) -> Any:
        try:
            return self._call.result(timeout)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
