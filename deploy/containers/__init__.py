"""Images: that of the services, and, where no image registry can be reached, all that it and the local stack stand on."""
