"""Every setting: name, type, bounds, default and help in one table. Read by wiring and the command line only."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from cavendish.domain.errors import Misconfigured
from cavendish.domain.text import Text
from cavendish.setting import Setting

EngineName = Literal["illustrator", "simulator", "gemini"]
LogFormat = Literal["text", "json"]


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "DATA_DIR",
        "path",
        "./cavendish-data",
        Text(en="Folder of the embedded database and of pictures.", zh="内置数据库和图片所在的文件夹。"),
    ),
    Setting(
        "DATABASE_URL",
        "url",
        None,
        Text(
            en="PostgreSQL 15 or newer. Absent: an embedded PostgreSQL inside the data folder.",
            zh="PostgreSQL 15 或更新版本。不设置则在数据文件夹内运行内置 PostgreSQL。",
        ),
        schemes=("postgresql", "postgres"),
        secret=True,
    ),
    Setting(
        "DATABASE_CONNECTIONS",
        "int",
        "10",
        Text(en="The most database connections that one process holds.", zh="单个进程最多持有的数据库连接数。"),
        low=3,
        high=500,
    ),
    Setting(
        "BLOBS_URL",
        "url",
        None,
        Text(
            en="Where pictures are kept. Absent: a folder inside the data folder.",
            zh="图片的存放位置。不设置则为数据文件夹内的一个文件夹。",
        ),
        schemes=("file", "s3", "gs", "az"),
        secret=True,
    ),
    Setting(
        "PUBLIC_URL",
        "url",
        None,
        Text(
            en="Prefix of result URLs. Absent: scheme and host of the create request.",
            zh="结果图片 URL 的前缀。不设置则取创建请求的协议和主机名。",
        ),
        schemes=("http", "https"),
    ),
    Setting(
        "ENGINE",
        "choice",
        None,
        Text(
            en="What makes the pictures. Absent: gemini when it has a credential, else the illustrator.",
            zh="由谁生成图片。不设置时：有 Gemini 凭证则为 gemini，否则为 illustrator。",
        ),
        choices=("illustrator", "simulator", "gemini"),
    ),
    Setting(
        "FALLBACK",
        "text",
        None,
        Text(
            en="Which engine steps in for which model when the first one is busy, broken or too slow.",
            zh="第一个引擎繁忙、出错或过慢时，哪个模型由哪个引擎代替。",
        ),
        form=Text(en="model=engine, separated by commas", zh="模型=引擎，以逗号分隔"),
    ),
    Setting(
        "GEMINI_KEYS",
        "text",
        None,
        Text(
            en="API keys of Google AI Studio, each with the project that its quota belongs to.",
            zh="Google AI Studio 的 API 密钥，各自注明其配额所属的项目。",
        ),
        form=Text(en="project:KEY, separated by commas", zh="项目:密钥，以逗号分隔"),
        secret=True,
    ),
    Setting(
        "GEMINI_VERTEX_PROJECT",
        "text",
        None,
        Text(
            en="Google Cloud project whose Vertex AI is used, with application default credentials.",
            zh="使用其 Vertex AI 的 Google Cloud 项目，凭证取自应用默认凭证（ADC）。",
        ),
        form=Text(en="id of a Google Cloud project", zh="Google Cloud 项目 id"),
    ),
    Setting(
        "GEMINI_VERTEX_LOCATION",
        "text",
        "global",
        Text(en="Location of Vertex AI.", zh="Vertex AI 的区域。"),
        form=Text(en="location of Google Cloud, such as global", zh="Google Cloud 区域，例如 global"),
    ),
    Setting(
        "GEMINI_BASE_URL",
        "url",
        None,
        Text(
            en="Where Gemini is reached. Absent: Google itself.",
            zh="Gemini 的访问地址。不设置则直接访问 Google。",
        ),
        schemes=("https", "http"),
    ),
    Setting(
        "GEMINI_PROXY",
        "url",
        None,
        Text(
            en="HTTP proxy through which Gemini is reached. The environment's proxies are not used.",
            zh="访问 Gemini 所用的 HTTP 代理。环境变量中的代理不会被使用。",
        ),
        schemes=("http", "https"),
        secret=True,
    ),
    Setting(
        "GEMINI_REQUESTS_PER_MINUTE",
        "int",
        "60",
        Text(
            en="Requests per minute to each Google project, by one worker process.",
            zh="单个 worker 进程每分钟向每个 Google 项目发出的请求数。",
        ),
        low=1,
        high=1_000_000,
    ),
    Setting(
        "GEMINI_PARALLEL_CALLS",
        "int",
        "16",
        Text(
            en="Calls under way to each Google project, by one worker process.",
            zh="单个 worker 进程对每个 Google 项目同时进行的调用数。",
        ),
        low=1,
        high=10_000,
    ),
    Setting(
        "GEMINI_SILENCE_SECONDS",
        "float",
        "120",
        Text(
            en="How long Gemini may send nothing before a call is given up.",
            zh="Gemini 多久没有发送任何数据就放弃该次调用。",
        ),
        low=1,
        high=3600,
    ),
    Setting(
        "GEMINI_REQUEST_MEGABYTES",
        "int",
        "100",
        Text(
            en="The largest request that Gemini takes, in MB; input images are shrunk to fit.",
            zh="Gemini 接受的最大请求（MB）；输入图片会缩小到不超过它。",
        ),
        low=1,
        high=500,
    ),
    Setting(
        "CATALOG_FILE",
        "path",
        None,
        Text(
            en="TOML file whose values replace those of the model catalogue (prices, upstream ids).",
            zh="TOML 文件，其中的值会覆盖模型目录（价格、上游模型 id）。",
        ),
    ),
    Setting(
        "ALLOW_PRIVATE_URLS",
        "flag",
        "0",
        Text(
            en="Let callbacks and input images lead to private addresses. For development only.",
            zh="允许回调和输入图片指向内网地址。仅用于开发环境。",
        ),
    ),
    Setting(
        "WORKER_SLOTS",
        "int",
        "64",
        Text(en="Tasks that one worker process holds at once.", zh="单个 worker 进程同时持有的任务数。"),
        low=1,
        high=20_000,
    ),
    Setting(
        "LEASE_TTL_SECONDS",
        "float",
        "30",
        Text(
            en="How long a worker that went silent keeps its tasks before others take them.",
            zh="worker 失联多久后，其任务会被其他 worker 接手。",
        ),
        low=1,
        high=3600,
    ),
    Setting(
        "TASK_DEADLINE_SECONDS",
        "float",
        "300",
        Text(en="The longest that one attempt at a task may take.", zh="单次任务尝试的最长时间。"),
        low=1,
        high=86_400,
    ),
    Setting(
        "SHUTDOWN_GRACE_SECONDS",
        "float",
        "20",
        Text(
            en="On SIGTERM: how long running engine calls may go on before their tasks go back to waiting.",
            zh="收到 SIGTERM 后，正在进行的引擎调用最多还能运行多久，之后任务退回等待。",
        ),
        low=0,
        high=3600,
    ),
    Setting(
        "RETENTION_DAYS",
        "int",
        "30",
        Text(
            en="How long finished tasks and their images are kept; 0 keeps them for ever.",
            zh="已结束任务及其图片的保留天数；0 表示永久保留。",
        ),
        low=0,
        high=36_500,
    ),
    Setting(
        "UPLOAD_RETENTION_HOURS",
        "float",
        "72",
        Text(en="How long an uploaded image can be used.", zh="上传的图片可以使用多久。"),
        low=0.01,
        high=876_000,
    ),
    Setting(
        "UPLOAD_ACCOUNT_MEGABYTES",
        "int",
        "2000",
        Text(
            en="The most that one account may hold of uploaded images, in MB.",
            zh="单个账户最多可保存的上传图片总量（MB）。",
        ),
        low=1,
        high=1_000_000_000,
    ),
    Setting(
        "QUERIES_PER_MINUTE",
        "int",
        "60000",
        Text(
            en="Queries that one key may send to one API process per minute.",
            zh="单个密钥每分钟最多向单个 API 进程发送的查询数。",
        ),
        low=60,
        high=100_000_000,
    ),
    Setting(
        "ILLUSTRATOR_PROCESSES",
        "int",
        "2",
        Text(en="Processes that draw.", zh="绘图进程数。"),
        low=1,
        high=256,
    ),
    Setting(
        "SIMULATOR_LATENCY_SECONDS",
        "float",
        "0",
        Text(en="How long every picture of the simulator takes.", zh="模拟器生成每张图片的耗时。"),
        low=0,
        high=3600,
    ),
    Setting(
        "CALLBACK_SLOTS",
        "int",
        "512",
        Text(en="Callbacks that one process sends at once.", zh="单个进程同时发送的回调数。"),
        low=2,
        high=10_000,
    ),
    Setting(
        "CALLBACK_SLOTS_PER_HOST",
        "int",
        "64",
        Text(en="Of these, callbacks to one host and port.", zh="其中发往同一主机和端口的回调数上限。"),
        low=1,
        high=10_000,
    ),
    Setting(
        "LOG_FORMAT",
        "choice",
        "text",
        Text(en="Log lines for people, or JSON for machines.", zh="日志格式：给人看的文本，或给机器读的 JSON。"),
        choices=("text", "json"),
    ),
    Setting(
        "LOG_LEVEL",
        "choice",
        "info",
        Text(en="The least important log lines to write.", zh="输出的最低日志级别。"),
        choices=("debug", "info", "warning", "error"),
    ),
)


@dataclass(frozen=True)
class Settings:
    """All settings, read once and checked. `engine` is what it comes to when nobody chose one."""

    data_dir: Path
    database_url: str | None = field(repr=False)
    database_connections: int
    blobs_url: str | None = field(repr=False)
    public_url: str | None
    engine: EngineName
    fallback: str | None
    gemini_keys: str | None = field(repr=False)
    gemini_vertex_project: str | None
    gemini_vertex_location: str
    gemini_base_url: str | None
    gemini_proxy: str | None = field(repr=False)
    gemini_requests_per_minute: int
    gemini_parallel_calls: int
    gemini_silence_seconds: float
    gemini_request_megabytes: int
    catalog_file: Path | None
    allow_private_urls: bool
    worker_slots: int
    lease_ttl_seconds: float
    task_deadline_seconds: float
    shutdown_grace_seconds: float
    retention_days: int
    upload_retention_hours: float
    upload_account_megabytes: int
    queries_per_minute: int
    illustrator_processes: int
    simulator_latency_seconds: float
    callback_slots: int
    callback_slots_per_host: int
    log_format: LogFormat
    log_level: str


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read `CAVENDISH_…` from the environment.

    Raises:
        Misconfigured: the first wrong value, in one line.
    """
    variables = os.environ if environment is None else environment
    values: dict[str, object] = {}
    for setting in SETTINGS:
        value = variables.get(setting.variable) or setting.default
        values[setting.name.lower()] = None if value is None else setting.parse(value)
    credential = values["gemini_keys"] or values["gemini_vertex_project"]
    if values["engine"] is None:
        values["engine"] = "gemini" if credential else "illustrator"
    elif values["engine"] == "gemini" and not credential:
        raise Misconfigured(
            Text(
                en="CAVENDISH_ENGINE: gemini needs CAVENDISH_GEMINI_KEYS or CAVENDISH_GEMINI_VERTEX_PROJECT",
                zh="CAVENDISH_ENGINE：gemini 需要设置 CAVENDISH_GEMINI_KEYS 或 CAVENDISH_GEMINI_VERTEX_PROJECT",
            )
        )
    return Settings(**cast("Any", values))  # the table states the types
