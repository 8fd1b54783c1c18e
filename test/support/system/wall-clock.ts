import { existsSync, writeFileSync } from 'node:fs';

/** Debian's. It is told to leave the monotonic clock alone. */
const clockLibrary = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';

export const canTurnClocks = existsSync(clockLibrary);

/** Environment of a process whose wall clock `turnClock` turns by the same file. */
export const clockEnvironment = (file: string): Record<string, string> => ({
	LD_PRELOAD: clockLibrary,
	FAKETIME_TIMESTAMP_FILE: file,
	FAKETIME_DONT_FAKE_MONOTONIC: '1',
	FAKETIME_CACHE_DURATION: '1',
});

/** Sets the wall clock off by so many seconds; the monotonic clock is left alone. */
export function turnClock(file: string, seconds: number): void {
	writeFileSync(file, seconds < 0 ? `${seconds}\n` : `+${seconds}\n`);
}
