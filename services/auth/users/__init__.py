"""Users: the people that an organisation is home to, kept by its superusers."""
