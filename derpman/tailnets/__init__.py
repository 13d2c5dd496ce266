"""Links to customers' tailnets: what their control servers let us see, and write for them."""
