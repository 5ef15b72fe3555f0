"""A tuning script as a job."""
