"""The list filtered by how tags begin."""

from chatapp.store import Store


def test_with_every_beginning_a_tag_begins():
    with Store.in_memory() as store:
        one, two, three = (store.create_conversation(name) for name in "abc")
        store.labels.set_tags(one, ["work", "zoë home"])
        store.labels.set_tags(two, ["workshop"])
        store.labels.set_tags(three, ["wor\U0010ffff"])

        def found(*tags: str) -> set[int]:
            return {row.id for row in store.list_conversations(tags=tags)}

        assert found("wor") == {one, two, three}
        assert found("work") == {one, two}
        assert found("work", "zo") == {one}
        assert found("ork") == set()
        assert found("%", "_") == set()
        assert found() == {one, two, three}
        assert {row.id for row in store.list_conversations(tag="work")} == {one}
