"""A task as the wire shows it: `data` of a query's answer, and the body of a callback. §3 and §4 of the contract."""

import msgspec

from cavendish.domain.errors import FailCode
from cavendish.domain.orders import TaskView
from cavendish.domain.results import RESULTS_PATH
from cavendish.domain.tasks import TaskState
from cavendish.domain.text import Language


class TaskData(msgspec.Struct):
    """The keys of §3, in the order in which they are sent."""

    taskId: str  # noqa: N815 - the wire's names
    model: str
    state: TaskState
    resultJson: str  # noqa: N815
    resultUrls: list[str]  # noqa: N815
    failCode: FailCode | None  # noqa: N815
    failMsg: str | None  # noqa: N815
    createTime: int  # noqa: N815
    completeTime: int | None  # noqa: N815
    costTime: int | None  # noqa: N815
    creditsConsumed: int  # noqa: N815
    param: str


_encoder = msgspec.json.Encoder()


def task_data(task: TaskView, language: Language) -> TaskData:
    """The wire's view of a task."""
    urls = [f"{task.public_url}{RESULTS_PATH}{name}" for name in task.result_blobs]
    return TaskData(
        taskId=task.id,
        model=task.model,
        state=task.state,
        resultJson=_encoder.encode({"resultUrls": urls}).decode() if urls else "",
        resultUrls=urls,
        failCode=task.fail_code,
        failMsg=task.fail_text.say(language) if task.fail_text is not None else None,
        createTime=task.created_ms,
        completeTime=task.finished_ms,
        costTime=task.finished_ms - task.created_ms if task.finished_ms is not None else None,
        creditsConsumed=task.credits_charged,
        param=task.param,
    )
