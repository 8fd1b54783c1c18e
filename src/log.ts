import { type Logger, pino } from 'pino';
import { isJournal, journalDestination } from './system/journal.js';

export type { Logger };
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

/** JSON lines on stdout; secrets are cut out wherever they stand. A full disk behind stdout costs lines, never the daemon. */
export function createLogger(level: LogLevel, fields: Record<string, unknown> = {}): Logger {
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
		isJournal(process.env) ? journalDestination(destination) : destination,
	);
}
