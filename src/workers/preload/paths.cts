/**
 * Names, paths and times that a worker and its supervisor must agree on. They stand here, in a CommonJS module, since
 * the preload needs them before anything of an ESM app is loaded; `control.ts` gives them to the rest.
 */

/** Environment variable that carries the settings as JSON. */
const preloadVariable = 'ROLLCALL_WORKER';

/** A header of answers to probes on the private socket, and of these alone: the process id that answered. */
const pidHeader = 'x-rollcall-pid';

/** Control socket of one process: `<directory>/<id>.<pid>.ctl`. */
const controlSocketPath = (directory: string, id: string, pid: number): string => `${directory}/${id}.${pid}.ctl`;

/** Private probe socket of a process's n-th listen: `<directory>/<id>.<pid>.<n>.sock`. */
const probeSocketPath = (directory: string, id: string, pid: number, index: number): string =>
	`${directory}/${id}.${pid}.${index}.sock`;

/** A file that exists once this worker id was proven with this release; a worker that PM2 restarts then joins without the control plane. */
const approvalPath = (directory: string, id: string): string => `${directory}/${id}.ok`;

/** An app's own SIGINT or SIGTERM handlers run after the drain and get this long before the process ends without them. */
const farewellMs = 5_000;

/** An answer counts as one to the second in which its request began as long as it comes within so many seconds. */
const trafficPatience = 10;

export = { preloadVariable, farewellMs, trafficPatience, pidHeader, controlSocketPath, probeSocketPath, approvalPath };
