/**
 * The only file that imports systeminformation, and the body of a thread of its own: many of its calls run shells with
 * execSync, which would stop the daemon's event loop (leases, heartbeats, the watchdog) for as long as they take.
 * A caller names a call of this fixed table and gives nothing else; no text of a caller ever reaches a shell.
 *
 * Left out on purpose: osInfo (runs `hostname -f`, which may ask a name server), inetLatency and inetChecksite (contact
 * other hosts), versions (starts npm and twenty other programs), time (starts a shell for what Intl knows).
 */
import { parentPort } from 'node:worker_threads';
import systeminformation, { type Systeminformation } from 'systeminformation';

/** What each call answers. */
export interface HostAnswers {
	cpu: Systeminformation.CpuData;
	cpuFlags: string;
	cpuCurrentSpeed: Systeminformation.CpuCurrentSpeedData;
	currentLoad: Systeminformation.CurrentLoadData;
	mem: Systeminformation.MemData;
	fsSize: Systeminformation.FsSizeData[];
	networkInterfaceDefault: string;
	networkInterfaces: Systeminformation.NetworkInterfacesData[];
	networkConnections: Systeminformation.NetworkConnectionsData[];
}

export type HostCall = keyof HostAnswers;
export type HostQuestion = { id: number; call: HostCall };
export type HostAnswer = { id: number; value: unknown } | { id: number; error: string };

/** A busy host has many thousands of connections and mounts; an answer carries at most so many rows of each. */
const rowsMax = 256;

const bounded = <Row>(rows: Row[]): Row[] => rows.slice(0, rowsMax);

const calls = {
	cpu: () => systeminformation.cpu(),
	cpuFlags: () => systeminformation.cpuFlags(),
	cpuCurrentSpeed: () => systeminformation.cpuCurrentSpeed(),
	currentLoad: () => systeminformation.currentLoad(),
	mem: () => systeminformation.mem(),
	fsSize: async () => bounded(await systeminformation.fsSize()),
	networkInterfaceDefault: () => systeminformation.networkInterfaceDefault(),
	networkInterfaces: async () => {
		const interfaces = await systeminformation.networkInterfaces();
		return bounded(Array.isArray(interfaces) ? interfaces : [interfaces]);
	},
	networkConnections: async () => bounded(await systeminformation.networkConnections()),
} satisfies { [Call in HostCall]: () => Promise<HostAnswers[Call]> };

parentPort?.on('message', ({ id, call }: HostQuestion) => {
	Promise.resolve()
		.then((): Promise<unknown> => calls[call]())
		.then(
			(value): HostAnswer => ({ id, value }),
			(error: unknown): HostAnswer => ({ id, error: String(error) }),
		)
		.then((answer) => parentPort?.postMessage(answer));
});
