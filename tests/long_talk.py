"""For tests of long conversations: one that is kept already."""

from dgemma_lsp.chat_store import ConversationStore


def talked_long(store: ConversationStore, turns: int) -> str:
    """Keep a conversation of so many turns and return its key; one by one each waits for a disk."""
    key = store.create("", None).conversation
    with store._transaction():
        id = store._id(key)
        for number in range(turns):
            role, state = ("assistant", "done") if number % 2 else ("user", "done")
            turn = store._add(id, number, role, state, text=f"text {number}")
        store._db.execute("UPDATE conversations SET head = ? WHERE id = ?", (turn, id))
    return key
