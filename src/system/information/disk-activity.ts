import { readText } from '../proc/read-text.js';

/** What the disks did: operations, and the time that they waited (ms); `_sec` and per cent since the reading before, null at the first. */
export interface DiskOperations {
	rIO: number;
	wIO: number;
	tIO: number;
	rIO_sec: number | null;
	wIO_sec: number | null;
	tIO_sec: number | null;
	rWaitTime: number;
	wWaitTime: number;
	tWaitTime: number;
	rWaitPercent: number | null;
	wWaitPercent: number | null;
	tWaitPercent: number | null;
	/** Between the two readings. */
	ms: number;
}

/** Bytes that were read from and written to the devices of the mounted file systems. */
export interface DiskBytes {
	rx: number;
	wx: number;
	tx: number;
	rx_sec: number | null;
	wx_sec: number | null;
	tx_sec: number | null;
	ms: number;
}

export interface DiskActivity {
	io: DiskOperations;
	read_write: DiskBytes;
}

/** The texts that it is read from; null where the kernel has none. */
export interface DiskTexts {
	/** /proc/diskstats */
	statistics: string | null;
	/** /proc/self/mountinfo */
	mounts: string | null;
	/** ms, of a clock that never goes back. */
	at: number;
}

interface Device {
	/** `major:minor` */
	number: string;
	name: string;
	reads: number;
	readBytes: number;
	readMs: number;
	writes: number;
	writtenBytes: number;
	writeMs: number;
	queueMs: number;
}

/** The unit in /proc/diskstats, for every device. */
const sectorBytes = 512;
/** A rate over less than this is noise: the reading before is answered again. */
const intervalMsMin = 500;

const readHost = (): DiskTexts => ({
	statistics: readText('/proc/diskstats'),
	mounts: readText('/proc/self/mountinfo'),
	at: performance.now(),
});

/** Reads what the disks did, straight from the kernel: two files, no shell. Each reading's rates are since the one before. */
export function createDiskActivity(read: () => DiskTexts = readHost): () => DiskActivity | null {
	let last: { activity: DiskActivity; at: number } | null = null;
	return () => {
		const { statistics, mounts, at } = read();
		if (statistics === null) return null;
		if (last !== null && at - last.at < intervalMsMin) return last.activity;
		const devices = statistics.split('\n').flatMap(parseDevice);
		const mounted = mountedNumbers(mounts ?? '');
		const elapsedMs = last === null ? 0 : at - last.at;
		const activity = {
			io: operations(devices.filter(isWholeDisk), last?.activity.io, elapsedMs),
			read_write: bytes(
				devices.filter(({ number }) => mounted.has(number)),
				last?.activity.read_write,
				elapsedMs,
			),
		};
		last = { activity, at };
		return activity;
	};
}

/** A line of /proc/diskstats (proc_diskstats(5)). */
function parseDevice(line: string): Device[] {
	const [major, minor, name, ...figures] = line.trim().split(/\s+/);
	if (name === undefined || figures.length < 11) return [];
	const figure = (index: number): number => Number(figures[index]);
	return [
		{
			number: `${major}:${minor}`,
			name,
			reads: figure(0),
			readBytes: figure(2) * sectorBytes,
			readMs: figure(3),
			writes: figure(4),
			writtenBytes: figure(6) * sectorBytes,
			writeMs: figure(7),
			queueMs: figure(10),
		},
	];
}

/** No partition, which its disk counts too, and nothing that only stands on other devices (loop, RAID, mapper). */
function isWholeDisk({ name }: Device): boolean {
	return /^(?:[hsv]d[a-z]+|xvd[a-z]+|nvme\d+(?:c\d+)?n\d+|mmcblk\d+|pmem\d+|dasd[a-z]+)$/.test(name);
}

/** The devices of the mounted file systems; a device that is mounted twice counts once. */
function mountedNumbers(mounts: string): Set<string> {
	return new Set(mounts.split('\n').flatMap((line) => line.split(' ', 3)[2] ?? []));
}

const sum = (devices: readonly Device[], value: (device: Device) => number): number =>
	devices.reduce((total, device) => total + value(device), 0);

/** Grown a second; a device that is gone takes its count along, which is no negative rate. */
function perSecond(now: number, before: number | undefined, elapsedMs: number): number | null {
	return before === undefined ? null : (Math.max(0, now - before) * 1_000) / elapsedMs;
}

function operations(devices: readonly Device[], before: DiskOperations | undefined, elapsedMs: number): DiskOperations {
	const reads = sum(devices, (device) => device.reads);
	const writes = sum(devices, (device) => device.writes);
	const readMs = sum(devices, (device) => device.readMs);
	const writeMs = sum(devices, (device) => device.writeMs);
	const queueMs = sum(devices, (device) => device.queueMs);
	const percent = (now: number, earlier: number | undefined): number | null => {
		const rate = perSecond(now, earlier, elapsedMs);
		return rate === null ? null : rate / 10;
	};
	return {
		rIO: reads,
		wIO: writes,
		tIO: reads + writes,
		rIO_sec: perSecond(reads, before?.rIO, elapsedMs),
		wIO_sec: perSecond(writes, before?.wIO, elapsedMs),
		tIO_sec: perSecond(reads + writes, before?.tIO, elapsedMs),
		rWaitTime: readMs,
		wWaitTime: writeMs,
		tWaitTime: queueMs,
		rWaitPercent: percent(readMs, before?.rWaitTime),
		wWaitPercent: percent(writeMs, before?.wWaitTime),
		tWaitPercent: percent(queueMs, before?.tWaitTime),
		ms: Math.round(elapsedMs),
	};
}

function bytes(devices: readonly Device[], before: DiskBytes | undefined, elapsedMs: number): DiskBytes {
	const read = sum(devices, (device) => device.readBytes);
	const written = sum(devices, (device) => device.writtenBytes);
	return {
		rx: read,
		wx: written,
		tx: read + written,
		rx_sec: perSecond(read, before?.rx, elapsedMs),
		wx_sec: perSecond(written, before?.wx, elapsedMs),
		tx_sec: perSecond(read + written, before?.tx, elapsedMs),
		ms: Math.round(elapsedMs),
	};
}
