/* The code and the state of a launch are used up: take them out of the address and of the history. */
if (location.search && location.pathname.endsWith("/smart/callback")) history.replaceState(null, "", location.pathname);
