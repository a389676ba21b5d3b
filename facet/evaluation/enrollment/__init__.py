"""What enrolment refuses: pictures of the wrong person, and how many of the right one."""
