import { apiTokenOperations } from './rows/api-tokens.js';
import { auditOperations } from './rows/audit.js';
import { logOperations } from './rows/logs.js';
import { restartOperations } from './rows/restart.js';
import { rolloutOperations } from './rows/rollouts.js';
import { statusOperations } from './rows/status.js';
import { systemOperations } from './rows/system.js';
import type { Operation } from './types.js';
import { userOperations } from './rows/users.js';
import { workerOperations } from './rows/workers.js';

/** Every operation there is. HTTP, socket, command line and OpenAPI come from this one table. */
export const operations: readonly Operation[] = [
	...restartOperations,
	...systemOperations,
	...statusOperations,
	...rolloutOperations,
	...workerOperations,
	...logOperations,
	...userOperations,
	...apiTokenOperations,
	...auditOperations,
];

export const operationsByName: ReadonlyMap<string, Operation> = new Map(operations.map((row) => [row.name, row]));
