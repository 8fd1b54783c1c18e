import { readFileSync } from 'node:fs';
import { readText } from './read-text.js';

/** USER_HZ: what /proc counts in. Fixed at 100 for user space on every architecture that Node runs on. */
export const ticksPerSecond = 100;

let bootTimeMs: number | null = null;

/** When the kernel booted, in ms since 1970 (`btime` of proc(5)); 0 if /proc/stat cannot be read. */
export function readBootTime(): number {
	if (bootTimeMs === null) {
		const seconds = /^btime (\d+)$/m.exec(readText('/proc/stat') ?? '')?.[1];
		if (seconds === undefined) return 0;
		bootTimeMs = Number(seconds) * 1_000;
	}
	return bootTimeMs;
}

let pageBytes: number | null = null;

/** Bytes of a memory page: AT_PAGESZ of the own auxiliary vector (getauxval(3)), since arm64 kernels may have 16 or 64 KiB. */
export function readPageBytes(): number {
	pageBytes ??= findPageBytes() ?? 4_096;
	return pageBytes;
}

function findPageBytes(): number | null {
	const pageSizeKey = 6n;
	try {
		const vector = readFileSync('/proc/self/auxv');
		for (let offset = 0; offset + 16 <= vector.length; offset += 16) {
			if (vector.readBigUInt64LE(offset) === pageSizeKey) return Number(vector.readBigUInt64LE(offset + 8));
		}
	} catch {
		// Not readable after a change of user; every distribution's default is 4 KiB.
	}
	return null;
}

/** Which boot of this kernel runs, another text after each; null if the kernel does not say. */
export function readBootId(): string | null {
	return readText('/proc/sys/kernel/random/boot_id')?.trim() ?? null;
}
