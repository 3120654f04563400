"""`magnet vectors`: what the store has, and having it filled anew."""

import psycopg

from tests.api.cli.conftest import Magnet
from tests.support.postgres import Database

QDRANT = {"VECTOR_DB_TYPE": "qdrant", "VECTOR_DB_CONFIG": '{"path": "vectors"}'}


def test_a_store_is_told_of_and_filled_anew_where_one_was_ever_filled(magnet: Magnet, database: Database):
    here = magnet("vectors", "status")
    assert (here.status, "VECTOR_DB_TYPE is pgvector" in here.err) == (1, True)
    assert magnet.ok("vectors", "status", "--json", **QDRANT).json == {"spaces": [], "others": {}}
    unfilled = magnet("vectors", "rebuild", **QDRANT)
    assert (unfilled.status, "was ever filled" in unfilled.err) == (1, True)
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("INSERT INTO magnet.vector_stores (store) VALUES ('qdrant:1'), ('chroma:1')")
        connection.execute(
            "INSERT INTO magnet.stored_places (store, space, place, dimensions, cut, passages)"
            " VALUES ('chroma:1#1', 's', 1, 2, 'abcd', 3)"
        )
    assert magnet.ok("vectors", "rebuild", "--json", **QDRANT).json == {"stores": 1}
    with psycopg.connect(database.owner_dsn) as connection:
        rows = connection.execute("SELECT store, filling FROM magnet.vector_stores ORDER BY store").fetchall()
    assert rows == [("chroma:1", 1), ("qdrant:1", 2)]
    assert magnet.ok("vectors", "status", "--json", **QDRANT).json["others"] == {"chroma:1#1": 1}
    doctor = magnet("doctor", "--json", **QDRANT).json["checks"]
    assert "qdrant: 0 vectors stored" in next(each["found"] for each in doctor if each["name"] == "vectors")
