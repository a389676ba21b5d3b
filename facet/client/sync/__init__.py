"""The client for programs that wait for each answer.

Its methods are generated from those of :mod:`facet.client.aio` by scripts/generate_client.py; only ``connection`` and
``calls`` are written by hand.
"""

from facet.client.sync.corrections import CorrectionMethods
from facet.client.sync.galleries import GalleryMethods
from facet.client.sync.migrations import MigrationMethods
from facet.client.sync.observations import ObservationMethods
from facet.client.sync.recognition import RecognitionMethods
from facet.client.sync.subjects import SubjectMethods


class Client(
    RecognitionMethods, GalleryMethods, MigrationMethods, ObservationMethods, SubjectMethods, CorrectionMethods
):
    """A connection to a Facet server, for programs that wait for each answer. Threads may share it.

    A method returns the response of its RPC. If the response is only a wrapper around one resource, it returns the
    resource: ``get_gallery`` returns a Gallery. A call that fails raises a :class:`facet.FacetError`.

    Args:
        address: ``host:port``; ``None`` for the environment's FACET_ADDRESS, else 127.0.0.1:50051.
        token: the key or bearer token that the server asks for; ``None`` for the environment's FACET_TOKEN. Tokens that
            expire are given by a function, which is called for each call and should answer at once.
        root_certificates: PEM bytes of the authorities to trust for the server's certificate; ``None`` for those of the
            file that the environment's FACET_CA names. With these, or with a client certificate, the connection is
            encrypted. Empty bytes are for a connection without TLS, whatever the environment says.
        certificate_chain: PEM bytes of the client's certificate, if the server asks for one; ``None`` for that of the
            file that FACET_CERTIFICATE names.
        private_key: PEM bytes of its key; ``None`` for that of the file that FACET_KEY names.
        round_robin: send each call to the next server, where ``address`` stands for several, such as
            ``dns:///facet.example.org:50051`` for a name with an address of each. A stream stays at its server. Without
            it all calls go to one of them.
        channel: a channel to use instead of one to ``address``. It keeps its own options, retries included; closing the
            client does not close it.
        timeout: seconds that a unary call may take unless the call says otherwise.

    Attributes:
        recognition: the stub of RecognitionService. Stubs take and return the messages of :mod:`facet.v1`.
        galleries: the stub of GalleryService.
        server: the stub of ServerService.

    Raises:
        ValueError: the arguments contradict each other.
        OSError: a file that the environment names cannot be read.

    Warns:
        InsecureConnectionWarning: the token would cross a network unencrypted.
    """
