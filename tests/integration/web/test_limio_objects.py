import pytest

from sync_service.store.load_lines import load_objects
from tests.integration.web.conftest import Web

OBJECTS = "/api/objects/limio"
LINES = [
    '{"id":"id-1","record_type":"identity","service":"limio","status":"active","data":{}}',
    '{"id":"cus-1","record_type":"customer","service":"limio","owner":"id-1","data":{"name":"Jane Doe"}}',
    '{"id":"sub-1","record_type":"subscription","owner":"id-1","customer":"cus-1","reference":"R1","data":{"odd":{"deep":[1,"é"]}}}',
    '{"id":"sub-2","record_type":"subscription","service":"limio","owner":"id-1","reference":"R2","data":{}}',
    '{"id":"sub-3","record_type":"subscription","service":"limio","owner":"id-1","reference":"R3","data":{}}',
]


@pytest.fixture
def loaded(web: Web) -> Web:
    load_objects(web.database, LINES)
    return web


def test_an_object_is_read_whole(loaded: Web) -> None:
    headers = loaded.token()

    for path_type in ("subscriptions", "subscription"):
        answer = loaded.client.get(f"{OBJECTS}/{path_type}/sub-1", headers=headers)

        assert answer.status_code == 200
        assert answer.json["id"] == "sub-1"
        assert answer.json["data"]["odd"] == {"deep": [1, "é"]}


def test_a_list_comes_in_pages(loaded: Web) -> None:
    headers = loaded.token()

    first = loaded.client.get(f"{OBJECTS}/subscriptions?limit=2", headers=headers).json
    more = {"limit": 2, "queryMore": first["queryMore"]}
    second = loaded.client.get(f"{OBJECTS}/subscriptions", query_string=more, headers=headers).json

    assert [each["id"] for each in first["items"]] == ["sub-1", "sub-2"]
    assert [each["id"] for each in second["items"]] == ["sub-3"]
    assert "queryMore" not in second


def test_what_is_related_comes_at_once(loaded: Web) -> None:
    answer = loaded.client.get(f"{OBJECTS}/subscriptions/sub-1/related", headers=loaded.token())

    assert {each["id"] for each in answer.json["items"]} == {"id-1", "cus-1"}


WRONG = [
    ("/nonsense", 400),
    ("/nonsense/x", 400),
    ("/nonsense/x/related", 400),
    ("/subscriptions?limit=0", 400),
    ("/subscriptions?limit=1001", 400),
    ("/subscriptions?limit=x", 400),
    ("/subscriptions?limit=-1", 400),
    ("/subscriptions?limit=", 400),
    ("/subscriptions?limit=99999999999999999999999", 400),
    ("/subscriptions?queryMore=x", 400),
    ("/subscriptions?queryMore=%00", 400),
    ("/subscriptions?queryMore=%C3%A9", 400),
    ("/subscriptions?email=jane@example.com", 400),
    ("/subscriptions/sub-1?reference=R1", 400),
    ("/subscriptions/none", 404),
    ("/subscriptions/none/related", 404),
    ("/subscriptions/%00", 404),
    ("/subscriptions/" + "x" * 300, 404),
    ("/subscriptions/sub-1/else", 404),
]


def test_wrong_questions_are_answered_in_json(loaded: Web) -> None:
    headers = loaded.token()

    for path, status in WRONG:
        answer = loaded.client.get(OBJECTS + path, headers=headers)

        assert (path, answer.status_code) == (path, status)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json["message"]


def test_only_a_token_with_the_scope_reads_objects(sqlite_web: Web) -> None:
    syncs_only = sqlite_web.token("api/subscription:sync")

    assert sqlite_web.client.get(f"{OBJECTS}/subscriptions").status_code == 401
    assert sqlite_web.client.get(f"{OBJECTS}/subscriptions").headers["WWW-Authenticate"].startswith("Bearer ")
    assert sqlite_web.client.get(f"{OBJECTS}/subscriptions", headers=syncs_only).status_code == 403
    assert sqlite_web.client.get(f"{OBJECTS}/subscriptions", auth=("zuora", "correct horse")).status_code == 401
