"""Tenants with a PostgreSQL schema each, by django-tenants."""
