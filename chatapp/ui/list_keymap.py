"""The keymap's rows of the list of chats, of the find bar and of the tree of branches.

These are drawn modes that Esc ends: here, and only here, letters are commands. In the list all
letters but `U` go to its filter.
"""

from chatapp.ui.key_row import Key

LIST_KEYS: tuple[Key, ...] = (
    Key("open_chat", "enter", "", "Open", "Open the chat.", "sidebar", bar=2, fixed=True),
    Key(
        "mark_chat",
        "space",
        "mark_chat",
        "Mark",
        "Mark the chat, or no longer: the keys of the list act on all that are marked.",
        "sidebar",
        bar=3,
    ),
    Key("mark_chats_up", "shift+up", "extend(-1)", "Mark up", "Mark chats upwards.", "sidebar"),
    Key("mark_chats_down", "shift+down", "extend(1)", "Mark down", "Mark downwards.", "sidebar"),
    Key("mark_all", "ctrl+a", "mark_all", "Mark all", "Mark every chat of the list.", "sidebar"),
    Key(
        "delete",
        "delete",
        "delete",
        "Delete",
        "Delete the chat, or all that are marked; it can be brought back.",
        "sidebar",
        bar=2,
    ),
    Key(
        "undelete",
        "U",
        "undelete",
        "Undo",
        "With an empty filter: bring back what was deleted last, chat or message.",
        "sidebar",
        bar=4,
    ),
    Key(
        "filter",
        "slash",
        "filter",
        "Filter",
        "Filter by titles, text and #tags; so does any letter that is typed in the list.",
        "sidebar",
        bar=5,
    ),
    Key("tag", "ctrl+l", "tag", "Tags", "Give tags to the chat, or take some.", "sidebar", bar=6),
    Key("pin", "ctrl+k", "pin", "Pin", "Keep the chat at the top, or no longer.", "sidebar", bar=7),
    Key(
        "archive",
        "ctrl+d",
        "archive",
        "Archive",
        "Put the chat into the archive, or take it out.",
        "sidebar",
        bar=9,
    ),
    Key(
        "show_archive",
        "ctrl+s",
        "show_archive",
        "See archive",
        "Show the archive in place of the chats, or the chats again.",
        "sidebar",
        bar=10,
    ),
    Key(
        "leave_list",
        "escape",
        "",
        "Back",
        "Take the marks away, empty the filter, leave the archive; then back to the prompt.",
        "sidebar",
        bar=1,
        fixed=True,
    ),
)

FILTER_KEYS: tuple[Key, ...] = (
    Key("open_found", "enter", "", "Open", "Open the chat that is found.", "filter", 2, fixed=True),
    Key(
        "to_list",
        "up,down",
        "",
        "In the list",
        "Go to the list, and move in it.",
        "filter",
        3,
        fixed=True,
    ),
    Key(
        "leave_filter",
        "escape",
        "",
        "Empty",
        "Empty the filter, and go to the list.",
        "filter",
        1,
        fixed=True,
    ),
)

FIND_KEYS: tuple[Key, ...] = (
    Key("next_hit", "n,down", "find_step(1)", "Next", "Go to the next hit.", "find"),
    Key("previous_hit", "N,up", "find_step(-1)", "Previous", "Go to the hit before.", "find"),
    Key("change_words", "slash", "find_words", "Words", "Look for other words.", "find"),
    Key("end_find", "escape", "find_end", "End", "Look for nothing any more.", "find"),
)

TREE_KEYS: tuple[Key, ...] = (
    Key(
        "delete_message",
        "d",
        "tree_delete(False)",
        "Deletes",
        "Delete the message; what is below it stays.",
        "tree",
    ),
    Key(
        "delete_branch",
        "D",
        "tree_delete(True)",
        "With all below",
        "Delete the message and all below it.",
        "tree",
    ),
    Key("undo_delete", "u", "tree_undo", "Undoes", "Bring back what was deleted last.", "tree"),
    Key("leave_tree", "escape", "dismiss(None)", "Closes", "Back to the chat.", "tree"),
)
