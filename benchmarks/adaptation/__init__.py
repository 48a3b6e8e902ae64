"""What a speaker's own sentences change: enrolment and corrections."""
