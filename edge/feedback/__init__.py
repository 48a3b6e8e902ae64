"""Recordings that the loop was unsure of, stored within limits for a person to correct."""
