"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable
from contextlib import closing
from typing import Any, Self, TypeVar

import grpc
from grpc_health.v1.health_pb2_grpc import HealthStub

from facet.client import channel, requests
from facet.client.batches import Answer, IdentifyRequests, K
from facet.client.calibrations import CalibrationRequests, Probe
from facet.client.errors import FacetError, from_rpc_error
from facet.client.requests import PictureSource
from facet.client.transfers import FileSource, ImportRequests, Received
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as recognition_pb
from facet.v1.gallery_service_pb2_grpc import GalleryServiceStub
from facet.v1.recognition_service_pb2_grpc import RecognitionServiceStub
from facet.v1.server_service_pb2 import GetServerInfoRequest
from facet.v1.server_service_pb2_grpc import ServerServiceStub

_T = TypeVar("_T")


class AsyncClient:
    """A connection to a Facet server, for programs on asyncio. See :class:`facet.Client` for the arguments."""

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
        interceptors = [_Unary(secret), _Download(secret), _Upload(secret), _Stream(secret)]
        if root_certificates is None:
            self._channel = grpc.aio.insecure_channel(target, options, interceptors=interceptors)
        else:
            credentials = grpc.ssl_channel_credentials(root_certificates)
            self._channel = grpc.aio.secure_channel(target, credentials, options, interceptors=interceptors)
        self.recognition = RecognitionServiceStub(self._channel)
        self.galleries = GalleryServiceStub(self._channel)
        self.server = ServerServiceStub(self._channel)
        self.health = HealthStub(self._channel)

    async def create_gallery(self, gallery_id: str, **fields: Any) -> gallery_pb.Gallery:
        """Create a gallery; ``fields`` are further ones of CreateGalleryRequest."""
        request = gallery_pb.CreateGalleryRequest(gallery_id=gallery_id, **fields)
        return (await self.galleries.CreateGallery(request)).gallery

    async def enroll(
        self, gallery_id: str, subject_id: str, picture: PictureSource, **fields: Any
    ) -> gallery_pb.EnrollFaceResponse:
        """Enrol the face in a picture; ``fields`` are further ones of EnrollFaceRequest."""
        return await self.galleries.EnrollFace(requests.enroll_request(gallery_id, subject_id, picture, **fields))

    async def identify(self, gallery_id: str, picture: PictureSource, **fields: Any) -> recognition_pb.IdentifyResponse:
        """Say who is in a picture; ``fields`` are further ones of IdentifyRequest."""
        return await self.recognition.Identify(requests.identify_request(gallery_id, picture, **fields))

    async def identify_batch(
        self, gallery_id: str, items: Iterable[tuple[K, PictureSource]], **fields: Any
    ) -> AsyncGenerator[tuple[K, Answer], None]:
        """Say who is in many pictures; see :meth:`facet.Client.identify_batch`. They are read on a thread."""
        info = await self.server.GetServerInfo(GetServerInfoRequest())
        messages = IdentifyRequests(gallery_id, items, info.limits.max_message_bytes, **fields)

        async def sent() -> AsyncIterator[recognition_pb.IdentifyBatchRequest]:
            while (message := await asyncio.to_thread(next, messages, None)) is not None:
                yield message

        call = self.recognition.IdentifyBatch(sent())
        try:
            async for response in call:
                yield messages.take(response)
        except (FacetError, asyncio.CancelledError):
            if messages.error is not None:
                raise messages.error from None
            raise
        finally:
            call.cancel()
        messages.finish()

    async def identify_stream(
        self,
        settings: recognition_pb.StreamSettings,
        frames: AsyncIterable[recognition_pb.StreamFrame] | Iterable[recognition_pb.StreamFrame],
    ) -> AsyncGenerator[recognition_pb.IdentifyStreamResponse, None]:
        """Say who is in front of a camera; see :meth:`facet.Client.identify_stream`.

        Frames that are iterated without ``async`` are so on a thread.
        """
        failure: BaseException | None = None
        sender: asyncio.Task[Any] | None = None

        async def sent() -> AsyncIterator[recognition_pb.IdentifyStreamRequest]:
            nonlocal failure, sender
            sender = asyncio.current_task()
            try:
                yield recognition_pb.IdentifyStreamRequest(settings=settings)
                async for frame in frames if isinstance(frames, AsyncIterable) else _on_thread(frames):
                    yield recognition_pb.IdentifyStreamRequest(frame=frame)
            except Exception as error:
                failure = error
                raise

        call = self.recognition.IdentifyStream(sent())
        try:
            async for response in call:
                yield response
        except (FacetError, asyncio.CancelledError):
            if failure is not None:
                raise failure from None
            raise
        finally:
            call.cancel()
            if sender is not None:
                sender.cancel()  # one whose call has ended by itself would still take the next frame

    async def verify(
        self, reference: PictureSource | tuple[str, str], probe: PictureSource, **fields: Any
    ) -> recognition_pb.VerifyResponse:
        """Compare a probe with a picture, or with an enrolled ``(gallery_id, subject_id)``."""
        return await self.recognition.Verify(requests.verify_request(reference, probe, **fields))

    async def subjects(self, gallery_id: str) -> AsyncIterator[gallery_pb.Subject]:
        """All subjects of a gallery by id, a page at a time."""
        request = gallery_pb.ListSubjectsRequest(gallery_id=gallery_id)
        while True:
            page = await self.galleries.ListSubjects(request)
            for subject in page.subjects:
                yield subject
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def export_gallery(
        self, gallery_id: str, *, progress: Callable[[int], None] | None = None
    ) -> AsyncIterator[bytes]:
        """The file of a whole gallery, piece by piece; see :meth:`facet.Client.export_gallery`."""
        received = Received()
        async for response in self.galleries.ExportGallery(gallery_pb.ExportGalleryRequest(gallery_id=gallery_id)):
            if chunk := received.take(response):
                yield chunk
            if progress is not None:
                progress(received.templates)
        received.finish()

    async def import_gallery(self, source: FileSource, gallery_id: str = "", **fields: Any) -> gallery_pb.Gallery:
        """Make a gallery of an exported file; see :meth:`facet.Client.import_gallery`. It is read on a thread."""
        with closing(ImportRequests(source, gallery_id, **fields)) as messages:

            async def sent() -> AsyncIterator[gallery_pb.ImportGalleryRequest]:
                while (message := await asyncio.to_thread(next, messages, None)) is not None:
                    yield message

            try:
                return (await self.galleries.ImportGallery(sent())).gallery
            except (FacetError, asyncio.CancelledError):
                if messages.error is not None:
                    raise messages.error from None
                raise

    async def calibrate(
        self,
        gallery_id: str,
        target_fpir: float,
        probes: Iterable[Probe] | None = None,
        *,
        progress: Callable[[int], None] | None = None,
        **fields: Any,
    ) -> gallery_pb.CalibrateGalleryResponse:
        """Set a gallery's threshold; see :meth:`facet.Client.calibrate`. The pictures are read on a thread."""
        messages = CalibrationRequests(gallery_id, target_fpir, probes, progress, **fields)

        async def sent() -> AsyncIterator[gallery_pb.CalibrateGalleryRequest]:
            while (message := await asyncio.to_thread(next, messages, None)) is not None:
                yield message

        try:
            return await self.galleries.CalibrateGallery(sent())
        except (FacetError, asyncio.CancelledError):
            if messages.error is not None:
                raise messages.error from None
            raise

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _on_thread(frames: Iterable[_T]) -> AsyncIterator[_T]:
    """Iterate on threads, for what may wait."""
    iterator = iter(frames)
    while (frame := await asyncio.to_thread(next, iterator, None)) is not None:
        yield frame


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    """Adds the token, and raises our errors in the place of gRPC's."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def intercept_unary_unary(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        call = await continuation(channel.with_token(client_call_details, self._token), request)
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None


class _Download(grpc.aio.UnaryStreamClientInterceptor):
    """The same for streams of answers."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def intercept_unary_stream(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request: Any
    ) -> Any:
        call = await continuation(channel.with_token(client_call_details, self._token), request)
        return _translated(call)


class _Upload(grpc.aio.StreamUnaryClientInterceptor):
    """The same for streams of requests."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def intercept_stream_unary(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return _Awaited(await continuation(channel.with_token(client_call_details, self._token), request_iterator))


class _Awaited:
    """A call under way whose failures are ours."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answer().__await__()

    async def _answer(self) -> Any:
        try:
            return await self._call
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None


class _Stream(grpc.aio.StreamStreamClientInterceptor):
    """The same for streams both ways."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def intercept_stream_stream(
        self, continuation: Callable[[Any, Any], Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        call = await continuation(channel.with_token(client_call_details, self._token), request_iterator)
        return _translated(call)


async def _translated(call: Any) -> AsyncIterator[Any]:
    try:
        async for response in call:
            yield response
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from None
