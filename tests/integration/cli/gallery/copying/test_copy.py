"""What facet gallery copy takes along, between servers with different stores, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from typer.testing import CliRunner

from facet import CENTRAL, LARGEST, Client
from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from facet.cli.app import app
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import migrations_pb2
from facet.v1.server_service_pb2 import GetServerInfoRequest
from gallery.encryption.master_keys import new_key
from tests.certificates import SERVER, Authority
from tests.integration.cli.gallery.copying.conftest import FLAGS, Copy
from tests.integration.crowds import lines
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Exported, Pictures, Serve, Serving, Start

DATABASE = "facet.sqlite3"
TOKEN = "a-token-of-the-other-server"
GALLERIES = ("calibrated", "team")
DAY = timedelta(days=1)

Crowd = Callable[..., bytes]


def said(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["galleries"]
    return found


@pytest.fixture(scope="module")
def encrypted(start: Start, second_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with an encrypted database and both models, which keeps crops."""
    folder = tmp_path_factory.mktemp("encrypted")
    key = folder / "master.key"
    key.touch(0o600)
    key.write_text(new_key())
    models = ("--models.embedding-next", str(second_model))
    serving = start(folder, *FLAGS, *models, "--enrollment.keep-crops", "--gallery.encryption-key-file", str(key))
    yield serving
    serving.stop()


def fill(client: Client, pictures: Pictures, crowd: Crowd) -> None:
    """Make a gallery that has everything in the middle of a migration, and one with a calibrated threshold."""
    consent = pb.Consent(basis=pb.CONSENT_BASIS_CONSENT, reference="form 7", time=Timestamp(seconds=1_700_000_000))
    policy = pb.GalleryPolicy(require_consent=True, template_retention=Duration(seconds=90 * 86400))
    client.create_gallery("team", display_name="The team", threshold=0.31, mean_of_best=2, policy=policy)
    later = datetime.now(UTC) + 30 * DAY
    client.enroll("team", "yao.ming_7@x", pictures.yaoming, face=CENTRAL, display_name="姚明", consent=consent)
    client.enroll(
        "team", "six", pictures.six, face=LARGEST, accept_low_quality=True, consent=consent, expire_time=later
    )
    client.enroll("team", "gdp", pictures.gdp, face=CENTRAL, accept_low_quality=True, consent=consent)
    client.set_distinct("team", "gdp", "six")
    client.start_migration("team", "second")
    client.update_migration("team", threshold=0.23)
    until(lambda: client.get_gallery("team").migration.state == migrations_pb2.MIGRATION_STATE_READY)
    client.import_gallery(iter([crowd(60, pictures=2)]), "calibrated")
    client.calibrate("calibrated", 0.05, insist=True)


def answers(client: Client, pictures: Pictures) -> list[tuple[str, float]]:
    """Whom a server finds in the pictures, and how similar they are."""
    return [
        (candidate.subject_id, candidate.similarity)
        for picture in (pictures.yaoming, pictures.gdp)
        for face in client.identify("team", picture).faces
        for candidate in face.identification.candidates
    ]


def settings(client: Client, gallery_id: str) -> pb.Gallery:
    """A gallery without what a copy gets anew."""
    gallery = client.get_gallery(gallery_id)
    for name in ("create_time", "update_time", "etag", "revision"):
        gallery.ClearField(name)
    if gallery.HasField("migration"):
        gallery.migration.ClearField("templates_per_second")
    return gallery


def people(client: Client, gallery_id: str) -> list[tuple[pb.Subject, list[pb.Template]]]:
    """Everybody in a gallery with all templates, without etags."""
    found = []
    for subject in client.subjects(gallery_id):
        subject.ClearField("etag")
        found.append((subject, list(client.iter_templates(gallery_id, subject.subject_id))))
    return found


def test_galleries_with_everything_go_from_an_encrypted_file_to_postgresql_to_milvus_and_back(
    copy: Copy,
    encrypted: Serving,
    serve: Serve,
    second_model: Path,
    postgres_server: PostgresServer,
    milvus_lite: None,
    pictures: Pictures,
    crowd: Crowd,
    tmp_path: Path,
) -> None:
    environment = {"FACET_GALLERY__POSTGRES_URL": postgres_server.url, "FACET_SERVER__TOKEN": TOKEN}
    both = (*FLAGS, "--models.embedding-next", str(second_model))
    postgres = serve(*both, "--gallery.postgres-schema", f"s{uuid.uuid4().hex}", environment=environment)
    milvus = serve(*both, "--gallery.milvus-uri", str(tmp_path / "milvus.db"))
    with ExitStack() as opened:
        first = opened.enter_context(Client(encrypted.address))
        second = opened.enter_context(Client(postgres.address, token=TOKEN))
        third = opened.enter_context(Client(milvus.address))
        fill(first, pictures, crowd)
        steps = (
            said(
                copy(*GALLERIES, "--from", encrypted.address, "--to", postgres.address, "--json", FACET_TO_TOKEN=TOKEN)
            ),
            said(copy(*GALLERIES, "--from", postgres.address, "--to", milvus.address, "--json", FACET_TOKEN=TOKEN)),
            said(copy(*GALLERIES, "--from", milvus.address, "--to", encrypted.address, "--json")),
        )
        told = [[(each["gallery"], each["status"]) for each in step] for step in steps]
        assert told == [[(each, status) for each in GALLERIES] for status in ("copied", "copied", "unchanged")]
        digests = [[each["contents_sha256"] for each in step] for step in steps]
        assert digests[0] == digests[1] == digests[2], "all values are the same, embeddings of both models among them"
        for each in GALLERIES:
            assert settings(first, each) == settings(second, each) == settings(third, each)
            assert people(first, each) == people(second, each) == people(third, each)
        for client in (second, third):
            assert list(client.iter_distinct("team")) == [pb.DistinctPair(subject_id="gdp", other_subject_id="six")]
        for switched in (False, True):
            if switched:
                for client in (first, second, third):
                    client.switch_migration("team", allow_default_threshold=True)
            found = answers(first, pictures)
            assert found
            assert answers(second, pictures) == found, f"to the last bit, {switched=}"
            by_milvus = answers(third, pictures)
            assert [each for each, _ in by_milvus] == [each for each, _ in found]
            similarities = [similarity for _, similarity in found]
            assert [similarity for _, similarity in by_milvus] == pytest.approx(similarities, abs=1e-6), "its own sums"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name the galleries, or add --all"),
        (("team", "--all"), "name the galleries, or add --all"),
        (("team", "more", "--as", "copy", "--to", "127.0.0.1:1"), "--as names the copy of one gallery"),
        (("team",), "--to is missing"),
        (("team", "--from", "", "--to", "127.0.0.1:1"), "--from is empty"),
        (("team", "--to", "127.0.0.1:1", "--key", "client.key"), "are for servers with a CA: add --from-ca"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, ["gallery", "copy", *arguments])
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_server_under_two_names_is_no_other_server(copy: Copy, other: Serving) -> None:
    with Client(other.address) as client:
        client.create_gallery("mirrored")
    ends = ("--from", other.address, "--to", other.address.replace("127.0.0.1", "localhost"))
    for arguments in (("mirrored",), ("--all",), ("mirrored", "--as", "mirrored")):
        refused = copy(*arguments, *ends)
        assert refused.returncode == 2
        assert refused.stderr == "--from and --to are the same server: add --as NAME for a copy beside the gallery\n"
    beside = copy("mirrored", "--as", "mirrored-2", *ends)
    assert beside.stdout.startswith("mirrored as mirrored-2: 0 templates of 0 people copied and compared, SHA-256 ")


def test_a_server_that_does_not_answer_or_refuses_the_key_ends_the_command_in_a_line_that_names_its_options(
    copy: Copy, serve: Serve, other: Serving, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.sign("server", "DNS:localhost", usage=SERVER)
    tls = ("--server.tls-certificate", str(certificate), "--server.tls-key", str(key))
    with Client(other.address) as client:
        client.create_gallery("old")
        backup = CliRunner().invoke(
            app, ["gallery", "backup", str(other.log.parent / DATABASE), str(tmp_path / DATABASE)]
        )
        assert backup.exit_code == 0, backup.output
        client.create_gallery("new")
    safe = serve(*FLAGS, *tls, environment={"FACET_SERVER__TOKEN": TOKEN})
    name, ca = safe.address.replace("127.0.0.1", "localhost"), str(authority.file)
    ends = ("old", "new", "--from", other.address, "--to", name)
    for variables, expected in (
        ({}, f"no connection to the server at {name}: the server closes the connection: if it uses TLS"),
        ({"FACET_CA": ca}, f"no connection to the server at {other.address}: the server does not use TLS"),
        ({"FACET_TO_CA": ca}, f"the server at {name} needs a key: set FACET_TO_TOKEN or --to-token"),
        ({"FACET_TO_CA": ca, "FACET_TOKEN": TOKEN}, f"the server at {name} needs a key: set FACET_TO_TOKEN"),
        ({"FACET_TO_CA": ca, "FACET_TO_TOKEN": "x"}, f"the server at {name} refused this key: it is wrong, expired or"),
    ):
        refused = copy(*ends, "--json", **variables)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert expected in refused.stderr
        assert TOKEN not in refused.stderr
    done = copy(*ends, FACET_TO_CA=ca, FACET_TO_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    old, new = done.stdout.splitlines()
    assert old.startswith(
        "old: both servers have this very gallery, because they share a database, or one has a backup"
    )
    assert new.startswith("new: 0 templates of 0 people copied and compared, SHA-256 ")
    nobody = copy("old", "--from", other.address, "--to", "127.0.0.1:1")
    assert nobody.stderr == "no server answers at 127.0.0.1:1: start one with facet serve, or name another with --to\n"


def test_a_gallery_of_a_model_that_the_other_server_lacks_is_refused_before_it_is_sent(
    copy: Copy, encrypted: Serving, other: Serving
) -> None:
    ends = ("--from", encrypted.address, "--to", other.address)
    with Client(encrypted.address) as client:
        client.create_gallery("switched")
        client.start_migration("switched", "second")
        client.switch_migration("switched", allow_default_threshold=True)
    refused = copy("switched", *ends)
    assert refused.returncode == 1
    reason = f"its embeddings are of second, and {other.address} embeds with w600k_mbf: start that server with this"
    assert refused.stderr.startswith(f"switched: not copied: {reason}")
    odd = copy("switched", "--as", "a b/ü", *ends)
    assert f"{other.address}: INVALID_FIELD: gallery_id: must be 1 to 63 of a-z" in odd.stderr


def test_a_gallery_whose_migration_makes_embeddings_is_refused_because_it_would_differ_by_then(
    copy: Copy, encrypted: Serving, other: Serving, exported: Exported
) -> None:
    people = lines(3000)  # the server needs much longer for them than the command needs to begin
    crop = cv2.imencode(".png", np.full((112, 112, 3), 128, np.uint8))[1].tobytes()
    column = people.column_names.index("crop")
    people = people.set_column(column, people.schema.field("crop"), pa.array([crop] * len(people), pa.binary()))
    with Client(encrypted.address) as client:
        contract = client.server.GetServerInfo(GetServerInfoRequest()).contract
        client.import_gallery(iter([exported(people, contract=contract)]), "moving")
        client.start_migration("moving", "second")
        refused = copy("moving", "--from", encrypted.address, "--to", other.address)
        assert client.get_gallery("moving").migration.state == migrations_pb2.MIGRATION_STATE_EMBEDDING
    assert refused.returncode == 1
    assert refused.stderr.startswith("moving: not copied: its migration makes embeddings, ")
    assert f"facet gallery migrate status moving --address {encrypted.address}" in refused.stderr
