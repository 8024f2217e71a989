"""Tideover: moves a service from a lost site to its standby site, and proves the old primary fenced first."""
