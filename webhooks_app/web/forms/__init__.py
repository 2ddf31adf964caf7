"""What people type into the console, checked, with a sentence at each field that is wrong."""
