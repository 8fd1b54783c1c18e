/** The first descriptor that socket activation hands over (sd_listen_fds(3)). */
const firstDescriptor = 3;

/**
 * Listening descriptors that the service manager handed to this very process, by their name (FileDescriptorName= of the
 * socket unit; systemd's own default is the unit's name, `rollcall.socket`). Empty without socket activation.
 */
export function inheritedListeners(env: NodeJS.ProcessEnv, pid: number = process.pid): Map<string, number[]> {
	const listeners = new Map<string, number[]>();
	// A child of an activated process may inherit the words without the descriptors: only the process that is named may take them.
	if (Number(env['LISTEN_PID'] ?? Number.NaN) !== pid) return listeners;
	const count = Number(env['LISTEN_FDS'] ?? 0);
	if (!Number.isSafeInteger(count) || count <= 0) return listeners;
	const names = (env['LISTEN_FDNAMES'] ?? '').split(':');
	for (let index = 0; index < count; index++) {
		const name = names[index] || 'unknown';
		listeners.set(name, [...(listeners.get(name) ?? []), firstDescriptor + index]);
	}
	return listeners;
}
