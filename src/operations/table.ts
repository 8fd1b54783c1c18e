import { restartOperations } from './restart.js';
import { rolloutOperations } from './rollouts.js';
import { statusOperations } from './status.js';
import { systemOperations } from './system.js';
import type { Operation } from './types.js';
import { userOperations } from './users.js';
import { workerOperations } from './workers.js';

/** Every operation there is. HTTP, socket, command line and OpenAPI come from this one table. */
export const operations: readonly Operation[] = [
	...restartOperations,
	...systemOperations,
	...statusOperations,
	...rolloutOperations,
	...workerOperations,
	...userOperations,
];

export const operationsByName: ReadonlyMap<string, Operation> = new Map(operations.map((row) => [row.name, row]));
