# Generated from facet/client/aio/recognition.py by scripts/generate_client.py; do not edit.
"""The methods of RecognitionService: pictures in, objects, faces and people out."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing

from facet.client import batches
from facet.client.batches import Answer, K
from facet.client.pictures import PictureSource
from facet.client.requests import identify_request, outcome_request, verify_request
from facet.client.sync.calls import Items, exchange, read, stream_requests
from facet.client.sync.server import ServerMethods
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.types_pb2 import SEARCH_UNSPECIFIED, FaceChoice, Search


class RecognitionMethods(ServerMethods):
    """Find objects and faces, compare faces, and identify people."""

    def detect(
        self,
        picture: PictureSource,
        *,
        class_names: Iterable[str] = (),
        min_score: float | None = None,
        timeout: float | None = None,
    ) -> pb.DetectResponse:
        """Find the objects in a picture.

        Args:
            picture: the picture, see :func:`facet.picture`.
            class_names: only objects of these classes; empty for all.
            min_score: only objects of at least this score, (0, 1]; ``None`` for the server's.
            timeout: seconds the call may take; ``None`` for the client's.
        """
        request = pb.DetectRequest(picture=read(picture), class_names=class_names, min_score=min_score)
        return self.recognition.Detect(request, timeout=timeout)

    def analyze_faces(
        self,
        picture: PictureSource,
        *,
        face: FaceChoice | None = None,
        include_embeddings: bool = False,
        include_objects: bool = False,
        min_score: float | None = None,
        embed_as_templates: bool = False,
        contract: str = "",
        search: Search.ValueType = SEARCH_UNSPECIFIED,
        timeout: float | None = None,
    ) -> pb.AnalyzeFacesResponse:
        """Find the faces in a picture, with landmarks and quality.

        Args:
            picture: the picture, see :func:`facet.picture`.
            face: which face is meant; ``None`` for all.
            include_embeddings: embed the faces.
            include_objects: also return the objects that were found on the way.
            min_score: only faces of at least this score, (0, 1]; ``None`` for the server's.
            embed_as_templates: embed each face with its mirror image, as enrolment does: slower and more accurate.
            contract: of the embeddings, one of ``embedding_models`` of GetServerInfo; empty for that of the server.
            search: :data:`facet.THOROUGH` also finds faces that are small in a large picture, and takes longer.
            timeout: seconds the call may take; ``None`` for the client's.
        """
        request = pb.AnalyzeFacesRequest(
            picture=read(picture),
            face=face,
            include_embeddings=include_embeddings,
            include_objects=include_objects,
            min_score=min_score,
            embed_as_templates=embed_as_templates,
            contract=contract,
            search=search,
        )
        return self.recognition.AnalyzeFaces(request, timeout=timeout)

    def verify(
        self,
        reference: PictureSource | tuple[str, str],
        probe: PictureSource,
        *,
        reference_face: FaceChoice | None = None,
        probe_face: FaceChoice | None = None,
        threshold: float | None = None,
        search: Search.ValueType = SEARCH_UNSPECIFIED,
        timeout: float | None = None,
    ) -> pb.VerifyResponse:
        """Compare the face in a picture with another picture, or with an enrolled subject.

        Args:
            reference: a picture of the person, or a subject as ``(gallery_id, subject_id)``.
            probe: the picture in question.
            reference_face: which face of the reference picture is meant; ``None`` if it shows one.
            probe_face: which face of the probe is meant; ``None`` if it shows one.
            threshold: decide by this similarity, [-1, 1]; ``None`` for the gallery's, or the server's for two pictures.
            search: :data:`facet.THOROUGH` also finds faces that are small in a large picture, and takes longer.
            timeout: seconds the call may take; ``None`` for the client's.
        """
        request = verify_request(
            reference if isinstance(reference, tuple) else read(reference),
            read(probe),
            reference_face=reference_face,
            probe_face=probe_face,
            threshold=threshold,
            search=search,
        )
        return self.recognition.Verify(request, timeout=timeout)

    def identify(
        self,
        gallery_id: str,
        picture: PictureSource,
        *,
        face: FaceChoice | None = None,
        top_k: int | None = None,
        threshold: float | None = None,
        include_objects: bool = False,
        distinct_subjects: bool = False,
        search: Search.ValueType = SEARCH_UNSPECIFIED,
        min_revision: str = "",
        timeout: float | None = None,
    ) -> pb.IdentifyResponse:
        """Identify the people in a picture.

        Args:
            gallery_id: the gallery to search.
            picture: the picture, see :func:`facet.picture`.
            face: which face is meant; ``None`` for all.
            top_k: how many subjects to name for each face, 1 to 100; ``None`` for 5.
            threshold: decide by this similarity, [-1, 1]; ``None`` for the gallery's.
            include_objects: also return the objects that were found on the way.
            distinct_subjects: name nobody twice in a picture: the most similar face gets the name.
            search: :data:`facet.THOROUGH` also finds faces that are small in a large picture, and takes longer.
            min_revision: the revision that a change has returned, perhaps from another server: the search notices that
                change. Empty: the server may lag behind others for a moment.
            timeout: seconds the call may take; ``None`` for the client's.
        """
        request = identify_request(
            gallery_id,
            read(picture),
            face=face,
            top_k=top_k,
            threshold=threshold,
            include_objects=include_objects,
            distinct_subjects=distinct_subjects,
            search=search,
            min_revision=min_revision,
        )
        return self.recognition.Identify(request, timeout=timeout)

    def identify_batch(
        self,
        gallery_id: str,
        items: Iterable[tuple[K, PictureSource]],
        *,
        face: FaceChoice | None = None,
        top_k: int | None = None,
        threshold: float | None = None,
        include_objects: bool = False,
        distinct_subjects: bool = False,
        search: Search.ValueType = SEARCH_UNSPECIFIED,
        min_revision: str = "",
        timeout: float | None = None,
    ) -> Generator[tuple[K, Answer], None, None]:
        """Identify the people in many pictures. Answers come as they are ready, in any order.

        Args:
            gallery_id: the gallery to search.
            items: a key of the caller's for each picture, and the picture. Pictures are read on a thread, a few at a
                time, as the server has room and the answers are consumed.
            face: which face of each picture is meant; ``None`` for all.
            top_k: how many subjects to name for each face, 1 to 100; ``None`` for 5.
            threshold: decide by this similarity, [-1, 1]; ``None`` for the gallery's.
            include_objects: also return the objects that were found on the way.
            distinct_subjects: name nobody twice in a picture: the most similar face gets the name.
            search: :data:`facet.THOROUGH` also finds faces that are small in a large picture, and takes longer.
            min_revision: the revision that a change has returned, perhaps from another server: the search notices that
                change. Empty: the server may lag behind others for a moment.
            timeout: seconds the whole batch may take; ``None`` for no limit.

        Yields:
            The key of a picture, and its answer or error. The reason of a file that could not be sent is CANNOT_READ or
            FILE_TOO_LARGE.

        Raises:
            FacetError: the batch ended early.
        """
        common = pb.IdentifyRequest(
            gallery_id=gallery_id,
            face=face,
            top_k=top_k,
            threshold=threshold,
            include_objects=include_objects,
            distinct_subjects=distinct_subjects,
            search=search,
            min_revision=min_revision,
        )
        limits = (self.get_server_info()).limits
        batch = batches.identify_batch(items, common, limits.max_message_bytes)
        with closing(exchange(self.recognition.IdentifyBatch, batch, timeout)) as responses:
            for response in responses:
                yield batch.take(response.item_id, response.status, response.identification)
        batch.finish()

    def identify_stream(
        self, settings: pb.StreamSettings, frames: Items[pb.StreamFrame], *, timeout: float | None = None
    ) -> Generator[pb.IdentifyStreamResponse, None, None]:
        """Follow and identify the people in front of a camera.

        Args:
            settings: the gallery, and how people are followed.
            frames: the frames, see :func:`facet.stream_frame`. They are taken on a thread when there is room to send
                them. Yield a camera's newest frame each time, so that none is old before it is sent.
            timeout: seconds the whole stream may take; ``None`` for no limit.

        Yields:
            An answer for each frame that was analysed. If a frame failed, its status says why.

        Raises:
            FacetError: the stream ended early.
        """
        requests = stream_requests(settings, frames)
        with closing(exchange(self.recognition.IdentifyStream, requests, timeout)) as responses:
            yield from responses

    def report_outcome(
        self,
        gallery_id: str,
        answer_id: str,
        is_right: bool,
        *,
        true_subject_id: str = "",
        true_nobody: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Say afterwards whether an answer was right. What is said last replaces what was said before.

        Args:
            gallery_id: the gallery that was searched.
            answer_id: ``answer_id`` of the identification, or of the event of a stream.
            is_right: whether the match was the person, or the unknown person is not enrolled.
            true_subject_id: who it truly was, if that is a subject of the gallery.
            true_nobody: it was nobody who is enrolled.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            FailedPrecondition: the answer is too old.
            InvalidArgument: it contradicts the answer.
            NotFound: it is no id of an answer of this gallery, or there is no such gallery or subject.
            ValueError: both ``true_subject_id`` and ``true_nobody`` are given.
        """
        request = outcome_request(gallery_id, answer_id, is_right, true_subject_id, true_nobody=true_nobody)
        self.recognition.ReportOutcome(request, timeout=timeout)
