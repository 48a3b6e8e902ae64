"""The battery: what a bundle answers when it is right, fair and undisturbed, and when it is not (`edge.battery`)."""
