"""Every setting: name, type, bounds, default and help in one table. Read by wiring and the command line only."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from cavendish.domain.text import Text
from cavendish.setting import Setting

EngineName = Literal["illustrator", "simulator"]
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
        "illustrator",
        Text(
            en="What makes the pictures: the procedural illustrator, or plain pictures for tests.",
            zh="由谁生成图片：程序化插画引擎，或用于测试的纯色图片模拟器。",
        ),
        choices=("illustrator", "simulator"),
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
    """All settings, read once and checked."""

    data_dir: Path
    database_url: str | None
    database_connections: int
    blobs_url: str | None
    public_url: str | None
    engine: EngineName
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
    return Settings(**cast("Any", values))  # the table states the types
