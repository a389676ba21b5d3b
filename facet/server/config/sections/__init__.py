"""The sections of the configuration, with every setting.

The docstring of a setting is its description in ``facet serve --help`` and in docs/configuration.md.
"""

from __future__ import annotations

from facet.server.config.sections.gallery import (
    GalleryConfig,
)
from facet.server.config.sections.observability import (
    AuditConfig,
    LogConfig,
    MetricsConfig,
    MonitoringConfig,
    TracingConfig,
)
from facet.server.config.sections.outcomes import (
    OutcomesConfig,
)
from facet.server.config.sections.recognition import (
    NONE,
    DetectionConfig,
    EnrollmentConfig,
    IdentificationConfig,
    ModelsConfig,
    PicturesConfig,
    VerificationConfig,
)
from facet.server.config.sections.server import (
    AccessConfig,
    ServerConfig,
)

__all__ = [
    "NONE",
    "AccessConfig",
    "AuditConfig",
    "DetectionConfig",
    "EnrollmentConfig",
    "GalleryConfig",
    "IdentificationConfig",
    "LogConfig",
    "MetricsConfig",
    "ModelsConfig",
    "MonitoringConfig",
    "OutcomesConfig",
    "PicturesConfig",
    "ServerConfig",
    "TracingConfig",
    "VerificationConfig",
]
