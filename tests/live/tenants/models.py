"""A tenant, and the hosts by which it is known."""

from __future__ import annotations

from django_tenants.models import DomainMixin, TenantMixin


class Tenant(TenantMixin):  # type: ignore[misc]
    pass


class Domain(DomainMixin):  # type: ignore[misc]
    pass
