import { type Logger, pino } from 'pino';
import { isJournal, journalDestination, journalSink } from './system/systemd/journal.js';

export type { Logger };
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

/**
 * JSON lines on stdout; where that is the journal, entries with fields. Secrets are cut out wherever they stand. A full
 * disk behind stdout costs lines, never the daemon. `env`: what the process was started with.
 */
export function createLogger(
	level: LogLevel,
	fields: Record<string, unknown> = {},
	env: NodeJS.ProcessEnv = process.env,
): Logger {
	const destination = pino.destination({ fd: 1, sync: true });
	destination.on('error', () => undefined);
	return pino(
		{
			level,
			base: { pid: process.pid, ...fields },
			timestamp: pino.stdTimeFunctions.isoTime,
			redact: {
				paths: [
					'password',
					'*.password',
					'secret',
					'*.secret',
					'authorization',
					'*.authorization',
					'token',
					'*.token',
					'operation_token',
					'refresh_token',
				],
				censor: '[redacted]',
			},
		},
		isJournal(env) ? journalDestination(destination, journalSink(env)) : destination,
	);
}
