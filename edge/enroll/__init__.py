"""Enrolment (`python -m edge.enroll`): a person's sentences become a profile."""
