"""The keymap's rows for reading: of the chat, of the messages, of answers side by side.

With the messages in focus letters are commands: a mode that is drawn (one message is marked, the
prompt is not in focus, the lowest line shows these keys) and that Esc ends. A mark that is made
from the prompt leaves the letters to the prompt.
"""

from chatapp.ui.key_row import Key

READING_KEYS: tuple[Key, ...] = (
    Key(
        "messages",
        "tab",
        "next_part",
        "Messages",
        "Go from the prompt to the messages, where letters are commands, to the chats, and back.",
        "chat",
    ),
    Key(
        "messages_back",
        "shift+tab",
        "previous_part",
        "Other way",
        "Go the other way round: from the prompt to the chats, to the messages, and back.",
        "chat",
    ),
    Key(
        "code_down",
        "alt+j",
        "walk_code(1)",
        "Next code",
        "Mark the next block of code: copying, saving and running act on it.",
        "chat",
        priority=True,
    ),
    Key(
        "code_up",
        "alt+k",
        "walk_code(-1)",
        "Code before",
        "Mark the block of code before, or the last one in view.",
        "chat",
        priority=True,
    ),
)

SCROLLING_KEYS: tuple[Key, ...] = (
    Key("line_up", "shift+up", "screen.scroll_line(-1)", "Line up", "Scroll up a line.", "prompt"),
    Key(
        "line_down",
        "shift+down",
        "screen.scroll_line(1)",
        "Line down",
        "Scroll down a line.",
        "prompt",
    ),
)
"""The prompt's, because in the list of chats these keys mark chats."""

MESSAGE_KEYS: tuple[Key, ...] = (
    Key("leave_messages", "escape", "stop", "Back", "Back to the prompt.", "message", bar=1),
    Key(
        "leave_marked",
        "enter",
        "leave_marked",
        "Keep mark",
        "Back to the prompt; the message stays marked.",
        "message",
    ),
    Key("message_up", "up", "step_message(-1)", "Up", "To the message above.", "message"),
    Key("message_down", "down", "step_message(1)", "Down", "To the message below.", "message"),
    Key("message_line_up", "shift+up", "scroll_line(-1)", "Line up", "Scroll up.", "message"),
    Key("message_line_down", "shift+down", "scroll_line(1)", "Line down", "Scroll on.", "message"),
    Key("message_first", "home", "oldest", "First", "To the first message.", "message"),
    Key("message_last", "end", "newest", "Last", "To the end of the chat.", "message"),
    Key("message_copy", "c", "copy_message", "Copy", "Copy the message.", "message", bar=2),
    Key("message_edit", "e", "edit", "Edit", "Edit the message.", "message", bar=3),
    Key("message_again", "r", "regenerate", "Again", "Ask for another answer.", "message", bar=4),
    Key("message_several", "n", "several", "Several", "Ask for three at once.", "message", bar=15),
    Key("message_delete", "d", "remove_message", "Delete", "Delete it.", "message", bar=7),
    Key("message_undo", "u", "undelete", "Undo", "Bring back what was deleted.", "message"),
    Key(
        "message_code_down",
        "j,right_square_bracket",
        "walk_code(1)",
        "Code",
        "To the next block of code.",
        "message",
        bar=5,
    ),
    Key(
        "message_code_up",
        "k,left_square_bracket",
        "walk_code(-1)",
        "Code up",
        "To the block of code before.",
        "message",
    ),
    Key("code_copy", "y", "copy_code", "Copy code", "Copy the code block.", "message", bar=9),
    Key("code_run", "x", "run_code", "Run", "Run the code block, after asking.", "message", bar=6),
    Key("code_save", "s", "save_code", "Save", "Save the code block.", "message", bar=8),
    Key("code_open", "o", "page_code", "Pager", "See the code block in $PAGER.", "message", bar=13),
    Key("message_links", "l", "links", "Links", "The links of the message.", "message", bar=14),
    Key("message_raw", "w", "raw", "Raw", "Show it as it was written.", "message", bar=11),
    Key("message_pin", "p", "pin_message", "Pin", "Keep it word for word.", "message", bar=16),
    Key("message_thinking", "t", "thinking", "Thought", "What was thought.", "message", bar=12),
    Key("message_previous", "left", "sibling(-1)", "Version before", "One back.", "message"),
    Key("message_next", "right", "sibling(1)", "Next version", "One further.", "message", bar=10),
    Key(
        "message_help",
        "question_mark",
        "app.help",
        "Keys",
        "Show every key, those of the messages too.",
        "message",
    ),
)

SIDES_KEYS: tuple[Key, ...] = (
    Key("keep_answer", "enter", "keep_answer", "Keep", "Show the marked answer.", "sides"),
    Key(
        "keep_number",
        "1,2,3,4,5,6,7,8,9",
        "",
        "Keep it",
        "Show the answer of that number; the others stay, as its versions.",
        "sides",
        fixed=True,
    ),
    Key("side_left", "left", "step_side(-1)", "Left", "Mark the answer before.", "sides"),
    Key("side_right", "right", "step_side(1)", "Right", "Mark the next answer.", "sides"),
    Key("side_up", "up", "scroll_side(-1)", "Up", "Scroll the marked answer up.", "sides"),
    Key("side_down", "down", "scroll_side(1)", "Down", "Scroll it down.", "sides"),
    Key("side_page_up", "pageup", "page_side(-1)", "Page up", "Scroll a page up.", "sides"),
    Key("side_page_down", "pagedown", "page_side(1)", "Page down", "Scroll a page down.", "sides"),
    Key("side_thinking", "t", "fold_side", "Thought", "What was thought.", "sides"),
    Key(
        "leave_sides",
        "escape",
        "leave_sides",
        "Closes",
        "Back to the chat, which shows what it showed; what is being written goes on.",
        "sides",
    ),
)
