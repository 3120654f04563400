"""The catalogue: which handler carries out which command."""

from commands.api_key import Credentials
from commands.bus import Answers, Handlers
from commands.configuration import (
    Archive,
    ChangeThing,
    ConfigurationHandlers,
    CreateThing,
    Publish,
    RemoveLabel,
    Restore,
    RollBack,
)
from commands.conversation import (
    BeginConversation,
    CloseConversation,
    ConversationHandlers,
    EndTurn,
    GiveFeedback,
    InterruptTurn,
    NoteAction,
    StartTurn,
)
from commands.model import settle_default
from commands.ports import PromptRenderer, SecretBox, Things
from commands.prompt import Templates
from commands.runs import FinishRun, InterruptRun, RunHandlers, StartRun
from commands.tag import RenameTag, rename_tag
from domain.api_key import ApiKey
from domain.model import Model
from domain.prompt import Prompt


def handlers(*, secrets: SecretBox, renderer: PromptRenderer, answers: Answers, things: Things) -> Handlers:
    """Return command class -> handler."""
    configuration = ConfigurationHandlers(
        secrets=secrets,
        rules={
            Model: settle_default,
            Prompt: Templates(renderer=renderer),
            ApiKey: Credentials(box=secrets),
        },
    )
    runs = RunHandlers(answers=answers)
    conversations = ConversationHandlers(answers=answers, things=things)
    return {
        BeginConversation: conversations.begin,
        StartTurn: conversations.start_turn,
        NoteAction: conversations.note_action,
        EndTurn: conversations.end_turn,
        InterruptTurn: conversations.interrupt,
        GiveFeedback: conversations.give_feedback,
        CloseConversation: conversations.close,
        StartRun: runs.start,
        FinishRun: runs.finish,
        InterruptRun: runs.interrupt,
        CreateThing: configuration.create,
        ChangeThing: configuration.change,
        Publish: configuration.publish,
        RemoveLabel: configuration.remove_label,
        RollBack: configuration.roll_back,
        Archive: configuration.archive,
        Restore: configuration.restore,
        RenameTag: rename_tag,
    }
