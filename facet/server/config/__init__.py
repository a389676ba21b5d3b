"""The server's configuration: what every setting means, and where its value comes from."""

from __future__ import annotations

from facet.server.config.loading import Config, dump, load
from facet.server.config.problems import ConfigError
from facet.server.config.sections import (
    NONE,
    AccessConfig,
    AuditConfig,
    EnrollmentConfig,
    GalleryConfig,
    LogConfig,
    MetricsConfig,
    ModelsConfig,
    MonitoringConfig,
    OutcomesConfig,
    ServerConfig,
    TracingConfig,
)

__all__ = [
    "NONE",
    "AccessConfig",
    "AuditConfig",
    "Config",
    "ConfigError",
    "EnrollmentConfig",
    "GalleryConfig",
    "LogConfig",
    "MetricsConfig",
    "ModelsConfig",
    "MonitoringConfig",
    "OutcomesConfig",
    "ServerConfig",
    "TracingConfig",
    "dump",
    "load",
]
