package supervise_test

const parentDeathSignal = true
