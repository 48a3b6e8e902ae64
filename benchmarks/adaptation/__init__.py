"""The effect of a speaker's own sentences: enrolment and corrections."""
