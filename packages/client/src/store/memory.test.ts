import { clientStoreContract } from './contract.ts';
import { memoryStore } from './memory.ts';

clientStoreContract('memory', { open: async () => memoryStore() });
